"""The networks and the data of the accuracy tables: made here by `edgeopt.Graph`, trained from random weights by
`edgeopt.Trainer`."""

from __future__ import annotations

import dataclasses
import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import edgeopt
import numpy as np

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclasses.dataclass
class Data:
    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


@dataclasses.dataclass
class Network:
    """`start`: the model before its float training. `epochs` and `rate` are those of the float training,
    `tuning_epochs` and `tuning_rate` those of each way to make it smaller but pruning, which has its own.
    `batch_normalization`: put it back for the float training. Pruning puts it back wherever there are convolutions.
    `precision`: of all trainings' products."""

    name: str
    title: str
    start: Callable[[], edgeopt.Model]
    data: Callable[[Path], Data]
    epochs: int
    rate: float
    tuning_epochs: int
    tuning_rate: float
    pruning_epochs: int
    pruning_rate: float
    batch_size: int = 64
    batch_normalization: bool = False
    augment: Augment | None = None
    precision: str = "float32"


# Data


def idx(path: Path) -> np.ndarray:
    content = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(content, ">i4", content[3], 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)


def mnist(data: Path, count: int = 60000) -> Data:
    def images(name: str) -> np.ndarray:
        return idx(data / "mnist" / f"{name}-images-idx3-ubyte.gz").astype(np.float32) / 255

    def labels(name: str) -> np.ndarray:
        return idx(data / "mnist" / f"{name}-labels-idx1-ubyte.gz").astype(np.int32)

    return Data(images("train")[:count], labels("train")[:count], images("t10k"), labels("t10k"))


def mnist_pictures(data: Path) -> Data:
    found = mnist(data)
    return Data(found.train[..., None], found.train_labels, found.test[..., None], found.test_labels)


def mnist_rows(data: Path) -> Data:
    return mnist(data, 30000)


def cifar(data: Path, held_out: int = 4000) -> Data:
    """20,000 training pictures, JPEG, of which the last `held_out` go to the 1000 test pictures. From -1 to 1."""
    from PIL import Image

    with zipfile.ZipFile(data / "cifar10" / "train_20000_jpeg.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")]
        names = [names[i] for i in np.random.default_rng(0).permutation(len(names))]
        classes = sorted({name.split("/")[-2] for name in names})
        pictures = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names])
    labels = np.array([classes.index(name.split("/")[-2]) for name in names], np.int32)
    rows = np.fromfile(data / "cifar10" / "test_1000.bin", np.uint8).reshape(-1, 3073)
    test = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    split = len(names) - held_out
    return Data(
        pictures[:split].astype(np.float32) / 127.5 - 1,
        labels[:split],
        np.concatenate([test, pictures[split:]]).astype(np.float32) / 127.5 - 1,
        np.concatenate([rows[:, 0], labels[split:]]).astype(np.int32),
    )


def spoken_digits(data: Path) -> Data:
    """Numbers 10 to 39 of each speaker and digit to learn from, the others for the test; 49 x 10 cepstra."""
    train, train_labels, test, test_labels = [], [], [], []
    for name in ("train_2400", "test_300"):
        with zipfile.ZipFile(data / "fsdd" / f"{name}.zip") as archive:
            for path in sorted(archive.namelist()):
                if not path.endswith(".wav"):
                    continue
                digit, _, number = Path(path).stem.split("_")
                content = archive.read(path)
                sound = np.frombuffer(content[content.index(b"data") + 8 :], "<i2").astype(np.float32) / 32768
                is_train = 10 <= int(number) < 40
                (train if is_train else test).append(cepstra(sound))
                (train_labels if is_train else test_labels).append(int(digit))
    found = np.stack(train)
    mean, deviation = found.mean((0, 1)), found.std((0, 1))
    return Data(
        ((found - mean) / deviation)[..., None].astype(np.float32),
        np.array(train_labels, np.int32),
        ((np.stack(test) - mean) / deviation)[..., None].astype(np.float32),
        np.array(test_labels, np.int32),
    )


def cepstra(sound: np.ndarray, rate: int = 8000, frame: int = 320, hop: int = 160, bands: int = 40) -> np.ndarray:
    """Mel-frequency cepstral coefficients 0 to 9 of the middle second (Davis and Mermelstein, 1980)."""
    begin = max(0, (len(sound) - rate) // 2)
    middle = sound[begin : begin + rate]
    left = (rate - len(middle)) // 2
    padded = np.pad(middle, (left, rate - len(middle) - left))
    starts = np.arange(0, rate - frame + 1, hop)
    frames = np.stack([padded[start : start + frame] for start in starts]) * np.hanning(frame)
    power = np.abs(np.fft.rfft(frames, 512)) ** 2
    mel = np.linspace(1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + rate / 2 / 700), bands + 2)
    edges = 700 * (np.exp(mel / 1127) - 1)
    bins = np.arange(257) * rate / 512
    low, middle_edge, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    filters = np.clip(np.minimum((bins - low) / (middle_edge - low), (high - bins) / (high - middle_edge)), 0, None)
    energies = np.log(power @ filters.T + 1e-6)
    cosines = np.cos(np.pi / bands * np.outer(np.arange(10), np.arange(bands) + 0.5))
    return energies @ cosines.T


def flip_and_shift(pictures: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Mirrored half of the time, moved by up to four pixels; edges are repeated."""
    size = pictures.shape[1]
    padded = np.pad(pictures, ((0, 0), (4, 4), (4, 4), (0, 0)), "edge")
    result = np.empty_like(pictures)
    for place, picture in zip(result, padded):
        top, left = random.integers(0, 9, 2)
        cut = picture[top : top + size, left : left + size]
        place[...] = cut[:, ::-1] if random.random() < 0.5 else cut
    return result


def shift_in_time(features: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Moved by up to five frames, with a little noise."""
    moved = np.stack([np.roll(sample, random.integers(-5, 6), axis=0) for sample in features])
    return moved + random.normal(0, 0.1, moved.shape).astype(np.float32)


# Networks


def mnist_cnn() -> edgeopt.Model:
    """The network of the TensorFlow Model Optimization Toolkit's tutorials."""
    graph = edgeopt.Graph(seed=1)
    x = graph.conv(graph.input(28, 28, 1), 12, 3, padding="valid", activation="relu")
    graph.softmax(graph.dense(graph.reshape(graph.max_pool(x, 2), 13 * 13 * 12), 10))
    return graph.model()


def resnet8() -> edgeopt.Model:
    """Three blocks of two convolutions with a shortcut (He et al., 2016), as in MLPerf Tiny (Banbury et al., 2021)."""
    graph = edgeopt.Graph(seed=1)
    x = graph.conv(graph.input(32, 32, 3), 16, 3, activation="relu")
    for channels, stride in [(16, 1), (32, 2), (64, 2)]:
        y = graph.conv(graph.conv(x, channels, 3, stride, activation="relu"), channels, 3)
        x = graph.add(x if stride == 1 else graph.conv(x, channels, 1, stride), y, activation="relu")
    graph.softmax(graph.dense(graph.mean(x, (1, 2)), 10))
    return graph.model()


def mobilenet() -> edgeopt.Model:
    """MobileNetV1 with a quarter of the channels (Howard et al., 2017); the first stride is 1 for pictures of 32."""
    graph = edgeopt.Graph(seed=1)
    x = graph.conv(graph.input(32, 32, 3), 8, 3, activation="relu")
    plan = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)]
    for channels, stride in plan:
        x = graph.depthwise_conv(x, 3, stride, activation="relu")
        x = graph.conv(x, channels, 1, activation="relu")
    graph.softmax(graph.dense(graph.mean(x, (1, 2)), 10))
    return graph.model()


def ds_cnn() -> edgeopt.Model:
    """DS-CNN for key words (Zhang et al., 2017), small: four separable convolutions of 64 channels."""
    graph = edgeopt.Graph(seed=1)
    x = graph.conv(graph.input(49, 10, 1), 64, (10, 4), 2, activation="relu")
    for _ in range(4):
        x = graph.depthwise_conv(x, 3, activation="relu")
        x = graph.conv(x, 64, 1, activation="relu")
    graph.softmax(graph.dense(graph.mean(x, (1, 2)), 10))
    return graph.model()


def transformer() -> edgeopt.Model:
    """Two layers with four heads of 16 over the 28 rows of a picture."""
    graph, width = edgeopt.Graph(seed=1), 64
    x = graph.dense(graph.input(28, 28), width)
    x = graph.add(x, graph.weights(1, 28, width, fan_in=width, name="positions"))
    for _ in range(2):
        x = graph.add(x, graph.attention(graph.layer_normalization(x), 4))
        hidden = graph.dense(graph.layer_normalization(x), 2 * width, "relu")
        x = graph.add(x, graph.dense(hidden, width))
    graph.softmax(graph.dense(graph.mean(graph.layer_normalization(x), (1,)), 10))
    return graph.model()


def lstm() -> edgeopt.Model:
    """64 units over the 28 rows of a picture."""
    graph = edgeopt.Graph(seed=1)
    graph.softmax(graph.dense(graph.last(graph.lstm(graph.input(28, 28), 64)), 10))
    return graph.model()


NETWORKS = [
    Network(
        "mnist", "Convolution, pooling, dense: MNIST, 10,000 test pictures", mnist_cnn, mnist_pictures,
        epochs=4, rate=2e-3, tuning_epochs=2, tuning_rate=5e-4, pruning_epochs=2, pruning_rate=1e-3,
    ),
    Network(
        "resnet8", "ResNet-8: CIFAR-10, 5000 test pictures", resnet8, cifar,
        epochs=60, rate=4e-3, tuning_epochs=6, tuning_rate=5e-4, pruning_epochs=20, pruning_rate=2e-3,
        batch_normalization=True, augment=flip_and_shift,
    ),
    Network(
        "dscnn", "DS-CNN: spoken digits, 900 test recordings", ds_cnn, spoken_digits,
        epochs=40, rate=4e-3, tuning_epochs=20, tuning_rate=5e-4, pruning_epochs=20, pruning_rate=3e-3,
        batch_normalization=True, augment=shift_in_time,
    ),
    Network(
        "mobilenet", "MobileNetV1-0.25: CIFAR-10, 5000 test pictures", mobilenet, cifar,
        epochs=30, rate=4e-3, tuning_epochs=4, tuning_rate=5e-4, pruning_epochs=8, pruning_rate=2e-3,
        batch_normalization=True, augment=flip_and_shift,
    ),
    Network(
        "transformer", "Transformer: MNIST by rows, 10,000 test pictures", transformer, mnist_rows,
        epochs=10, rate=1e-3, tuning_epochs=3, tuning_rate=3e-4, pruning_epochs=3, pruning_rate=1e-3,
    ),
    Network(
        "lstm", "LSTM: MNIST by rows, 10,000 test pictures", lstm, mnist_rows,
        epochs=8, rate=3e-3, tuning_epochs=3, tuning_rate=1e-3, pruning_epochs=4, pruning_rate=2e-3,
    ),
]  # fmt: skip
