"""Twenty-three networks such as users have, for models.py: with the sizes of their table in docs/performance.md.

Each is written after the publication that its function names, narrower or with fewer layers where that one is large.
Only what a runtime sees matters: layers, their order and their sizes. What training alone needs (dropout, initial
values, losses) is left out, and weights are those that Keras starts with.
"""

from collections.abc import Callable

import keras
import numpy as np

layers = keras.layers
operations = keras.ops
Tensor = keras.KerasTensor


# What several of them are made of


def through(x: Tensor, *steps: Callable[[Tensor], Tensor]) -> Tensor:
    """Layers one after the other."""
    for step in steps:
        x = step(x)
    return x


def convolution(
    x: Tensor, channels: int, size: int = 3, stride: int = 1, activation: str | None = "relu", groups: int = 1
) -> Tensor:
    x = layers.Conv2D(channels, size, stride, "same", use_bias=False, groups=groups)(x)
    x = layers.BatchNormalization()(x)
    return layers.Activation(activation)(x) if activation else x


def two_convolutions(x: Tensor, channels: int, activation: str = "relu") -> Tensor:
    x = convolution(x, channels, activation=activation)
    return convolution(x, channels, activation=activation)


def depthwise(x: Tensor, stride: int = 1) -> Tensor:
    return through(x, layers.DepthwiseConv2D(3, stride, "same", use_bias=False), layers.BatchNormalization())


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """The lower and the upper half of the channels."""
    middle = x.shape[-1] // 2
    return x[..., :middle], x[..., middle:]


def perceptron(x: Tensor, hidden: int) -> Tensor:
    """Two fully connected layers; the width at the end is that at the start."""
    return through(x, layers.Dense(hidden, activation="gelu"), layers.Dense(x.shape[-1]))


def transformer(x: Tensor, heads: int, causal: bool = False) -> Tensor:
    """Attention and a perceptron, each behind a normalization and added to what it saw."""
    width = x.shape[-1]
    normal = layers.LayerNormalization(epsilon=1e-6)(x)
    x = x + layers.MultiHeadAttention(heads, width // heads)(normal, normal, use_causal_mask=causal)
    normal = layers.LayerNormalization(epsilon=1e-6)(x)
    return x + perceptron(normal, 4 * width)


def with_positions(x: Tensor) -> Tensor:
    """Adds what is learned for each place of the sequence."""
    count, width = x.shape[1:]
    return x + layers.Embedding(count, width)(np.arange(count)[None])


def patches(pictures: Tensor, width: int) -> Tensor:
    """A row of numbers for each 16x16 pixels."""
    return through(pictures, layers.Conv2D(width, 16, 16), layers.Reshape((-1, width)))


def thousand_classes(x: Tensor) -> Tensor:
    return through(x, layers.GlobalAveragePooling2D(), layers.Dense(1000))


# Detection and segmentation


def split_bottlenecks(x: Tensor, channels: int, count: int, residual: bool) -> Tensor:
    """YOLOv8's block: half of the channels go through the bottlenecks, and every result is kept."""
    x = convolution(x, channels, 1, activation="swish")
    parts = [*halves(x)]
    for _ in range(count):
        y = two_convolutions(parts[-1], channels // 2, "swish")
        parts.append(parts[-1] + y if residual else y)
    return convolution(layers.Concatenate()(parts), channels, 1, activation="swish")


def yolo_v8() -> keras.Model:
    """YOLOv8 (Jocher et al., 2023), the smallest: boxes and 80 classes for each of 2100 places."""
    pictures = layers.Input((320, 320, 3))
    x = convolution(pictures, 16, stride=2, activation="swish")
    x = convolution(x, 32, stride=2, activation="swish")
    x = split_bottlenecks(x, 32, 1, residual=True)
    x = convolution(x, 64, stride=2, activation="swish")
    fine = split_bottlenecks(x, 64, 2, residual=True)
    x = convolution(fine, 128, stride=2, activation="swish")
    middle = split_bottlenecks(x, 128, 2, residual=True)
    x = convolution(middle, 256, stride=2, activation="swish")
    x = split_bottlenecks(x, 256, 1, residual=True)

    # Pools of pools: three sizes of neighbourhoods.
    pools = [convolution(x, 128, 1, activation="swish")]
    for _ in range(3):
        pools.append(layers.MaxPool2D(5, 1, "same")(pools[-1]))
    coarse = convolution(layers.Concatenate()(pools), 256, 1, activation="swish")

    # What coarse scales saw goes to the fine ones, and back.
    x = layers.Concatenate()([layers.UpSampling2D(2)(coarse), middle])
    middle = split_bottlenecks(x, 128, 1, residual=False)
    x = layers.Concatenate()([layers.UpSampling2D(2)(middle), fine])
    fine = split_bottlenecks(x, 64, 1, residual=False)
    x = layers.Concatenate()([convolution(fine, 64, stride=2, activation="swish"), middle])
    middle = split_bottlenecks(x, 128, 1, residual=False)
    x = layers.Concatenate()([convolution(middle, 128, stride=2, activation="swish"), coarse])
    coarse = split_bottlenecks(x, 256, 1, residual=False)

    answers = []
    for scale in (fine, middle, coarse):
        sides = layers.Conv2D(64, 1)(two_convolutions(scale, 64, "swish"))
        classes = layers.Conv2D(80, 1)(two_convolutions(scale, 80, "swish"))
        answers.append(layers.Reshape((-1, 144))(layers.Concatenate()([sides, classes])))
    x = layers.Concatenate(axis=1)(answers)

    # A side of a box is the mean of a distribution over 16 distances.
    sides = through(x[..., :64], layers.Reshape((-1, 4, 16)), layers.Softmax())
    sides = operations.matmul(sides, np.arange(16, dtype=np.float32)[:, None])
    boxes = layers.Reshape((-1, 4))(sides)
    classes = layers.Activation("sigmoid")(x[..., 64:])
    return keras.Model(pictures, layers.Concatenate()([boxes, classes]))


def u_net() -> keras.Model:
    """U-Net (Ronneberger et al., 2015), narrow, with batch normalization: two classes for each pixel."""
    pictures = layers.Input((256, 256, 3))
    x = pictures
    skipped = []
    for channels in (16, 32, 64, 128):
        x = two_convolutions(x, channels)
        skipped.append(x)
        x = layers.MaxPool2D()(x)
    x = two_convolutions(x, 256)
    for same_size in reversed(skipped):
        channels = same_size.shape[-1]
        x = layers.Conv2DTranspose(channels, 2, 2, "same")(x)
        x = layers.Concatenate()([x, same_size])
        x = two_convolutions(x, channels)
    return keras.Model(pictures, layers.Conv2D(2, 1, activation="softmax")(x))


def segformer() -> keras.Model:
    """SegFormer (Xie et al., 2021) with one layer for each scale: 19 classes at a quarter of the size."""
    pictures = layers.Input((256, 256, 3))
    x = pictures
    scales = []
    sizes = ((32, 1, 7, 4, 8), (64, 2, 3, 2, 4), (160, 5, 3, 2, 2), (256, 8, 3, 2, 1))
    for channels, heads, size, stride, pooled in sizes:
        x = layers.Conv2D(channels, size, stride, "same")(x)
        height, width = x.shape[1:3]
        x = through(x, layers.Reshape((height * width, channels)), layers.LayerNormalization())
        normal = layers.LayerNormalization()(x)
        keys = normal
        if pooled > 1:  # of fewer, larger pixels
            keys = layers.Reshape((height, width, channels))(keys)
            keys = layers.Conv2D(channels, pooled, pooled)(keys)
            keys = through(keys, layers.Reshape((-1, channels)), layers.LayerNormalization())
        x = x + layers.MultiHeadAttention(heads, channels // heads)(normal, keys)
        # The convolution inside the perceptron is all that knows of places.
        y = through(x, layers.LayerNormalization(), layers.Dense(4 * channels))
        y = layers.Reshape((height, width, 4 * channels))(y)
        y = layers.DepthwiseConv2D(3, padding="same")(y)
        y = through(y, layers.Reshape((height * width, 4 * channels)), layers.Activation("gelu"))
        x = x + layers.Dense(channels)(y)
        x = layers.Reshape((height, width, channels))(x)
        scales.append(x)
    # Not by the layer Resizing: behind it Keras exports batch normalization as in training.
    scales = [operations.image.resize(layers.Dense(128)(scale), (64, 64)) for scale in scales]
    x = layers.Concatenate()(scales)
    x = convolution(x, 128, 1)
    return keras.Model(pictures, layers.Conv2D(19, 1)(x))


# Pictures to classes, or to numbers that tell faces apart


def vision_transformer() -> keras.Model:
    """ViT (Dosovitskiy et al., 2021), 6 layers of width 192, without a token for the class."""
    pictures = layers.Input((224, 224, 3))
    x = with_positions(patches(pictures, 192))
    for _ in range(6):
        x = transformer(x, 3)
    x = through(x, layers.LayerNormalization(), layers.GlobalAveragePooling1D())
    return keras.Model(pictures, layers.Dense(1000)(x))


def mlp_mixer() -> keras.Model:
    """MLP-Mixer (Tolstikhin et al., 2021), 6 layers of width 256."""
    pictures = layers.Input((224, 224, 3))
    x = patches(pictures, 256)
    for _ in range(6):
        y = through(x, layers.LayerNormalization(), layers.Permute((2, 1)))
        y = perceptron(y, 128)
        x = x + layers.Permute((2, 1))(y)
        y = layers.LayerNormalization()(x)
        x = x + perceptron(y, 1024)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(pictures, layers.Dense(1000)(x))


def shuffled_unit(x: Tensor, channels: int, stride: int) -> Tensor:
    """ShuffleNetV2's: one half of the channels stays as it is, or is made smaller; then the halves take turns."""
    half = channels // 2
    if stride == 1:
        kept, x = halves(x)
    else:
        kept = convolution(depthwise(x, stride), half, 1)
    x = convolution(x, half, 1)
    x = depthwise(x, stride)
    x = convolution(x, half, 1)
    x = layers.Concatenate()([kept, x])
    height, width = x.shape[1:3]
    x = layers.Reshape((height, width, 2, half))(x)
    x = operations.transpose(x, (0, 1, 2, 4, 3))
    return layers.Reshape((height, width, channels))(x)


def shufflenet_v2() -> keras.Model:
    """ShuffleNetV2 1x (Ma et al., 2018)."""
    pictures = layers.Input((224, 224, 3))
    x = convolution(pictures, 24, stride=2)
    x = layers.MaxPool2D(3, 2, "same")(x)
    for channels, count in ((116, 4), (232, 8), (464, 4)):
        for index in range(count):
            x = shuffled_unit(x, channels, 2 if index == 0 else 1)
    x = convolution(x, 1024, 1)
    return keras.Model(pictures, thousand_classes(x))


def ghost_module(x: Tensor, channels: int, activation: str | None = "relu") -> Tensor:
    """GhostNet's: one half of the channels is made of the other, each of one."""
    x = convolution(x, channels // 2, 1, activation=activation)
    ghosts = depthwise(x)
    if activation:
        ghosts = layers.Activation(activation)(ghosts)
    return layers.Concatenate()([x, ghosts])


def ghostnet() -> keras.Model:
    """GhostNet (Han et al., 2020) of ten blocks, without squeeze and excitation; those of equal sizes are residual."""
    pictures = layers.Input((224, 224, 3))
    x = convolution(pictures, 16, stride=2)
    blocks = [(16, 16, 1), (48, 24, 2), (72, 24, 1), (72, 40, 2), (120, 40, 1)]
    blocks += [(240, 80, 2), (200, 80, 1), (480, 112, 1), (672, 160, 2), (960, 160, 1)]
    for hidden, channels, stride in blocks:
        y = ghost_module(x, hidden)
        if stride == 2:
            y = depthwise(y, stride)
        y = ghost_module(y, channels, activation=None)
        x = x + y if x.shape == y.shape else y
    return keras.Model(pictures, thousand_classes(x))


def regnet() -> keras.Model:
    """RegNetY (Radosavovic et al., 2020), close to that of 400 million products, with groups of 8 channels."""
    pictures = layers.Input((224, 224, 3))
    x = convolution(pictures, 32, stride=2)
    for channels, count in ((24, 1), (56, 1), (152, 4), (368, 7)):
        for index in range(count):
            stride = 2 if index == 0 else 1
            y = convolution(x, channels, 1)
            y = convolution(y, channels, stride=stride, groups=channels // 8)
            excitation = layers.GlobalAveragePooling2D(keepdims=True)(y)
            excitation = layers.Conv2D(max(8, channels // 4), 1, activation="relu")(excitation)
            excitation = layers.Conv2D(channels, 1, activation="sigmoid")(excitation)
            y = convolution(y * excitation, channels, 1, activation=None)
            if stride == 2:
                x = convolution(x, channels, 1, stride, activation=None)
            x = layers.ReLU()(x + y)
    return keras.Model(pictures, thousand_classes(x))


def squeezenet() -> keras.Model:
    """SqueezeNet 1.1 (Iandola et al., 2016)."""
    pictures = layers.Input((224, 224, 3))
    x = layers.Conv2D(64, 3, 2, activation="relu")(pictures)
    x = layers.MaxPool2D(3, 2)(x)
    for index, channels in enumerate((16, 16, 32, 32, 48, 48, 64, 64)):
        x = layers.Conv2D(channels, 1, activation="relu")(x)
        single = layers.Conv2D(4 * channels, 1, activation="relu")(x)
        around = layers.Conv2D(4 * channels, 3, padding="same", activation="relu")(x)
        x = layers.Concatenate()([single, around])
        if index in (1, 3):
            x = layers.MaxPool2D(3, 2)(x)
    x = layers.Conv2D(1000, 1, activation="relu")(x)
    return keras.Model(pictures, through(x, layers.GlobalAveragePooling2D(), layers.Softmax()))


def face_embedding() -> keras.Model:
    """ArcFace (Deng et al., 2019), a small residual network with PReLU: 128 numbers of length one."""
    pictures = layers.Input((160, 160, 3))
    x = convolution(pictures, 32, stride=2)
    for channels in (64, 128, 256):
        y = convolution(x, channels, stride=2, activation=None)
        y = layers.PReLU(shared_axes=[1, 2])(y)
        x = convolution(y, channels, activation=None)
        x = layers.PReLU(shared_axes=[1, 2])(x) + y
    x = through(x, layers.Conv2D(64, 1), layers.Flatten(), layers.Dense(128))
    squares = operations.sum(x * x, -1, keepdims=True)
    return keras.Model(pictures, x / operations.sqrt(squares + 1e-6))


# To pictures


def espcn() -> keras.Model:
    """ESPCN (Shi et al., 2016): a picture three times as large."""
    brightness = layers.Input((180, 320, 1))
    x = layers.Conv2D(64, 5, padding="same", activation="tanh")(brightness)
    x = layers.Conv2D(32, 3, padding="same", activation="tanh")(x)
    x = layers.Conv2D(9, 3, padding="same")(x)
    return keras.Model(brightness, operations.depth_to_space(x, 3))


def dcgan() -> keras.Model:
    """The generator of DCGAN (Radford et al., 2016), a quarter as wide, with leaky ReLU."""
    noise = layers.Input((100,))
    x = through(noise, layers.Dense(4096), layers.Reshape((4, 4, 256)))
    for channels in (128, 64, 32):
        x = layers.Conv2DTranspose(channels, 4, 2, "same", use_bias=False)(x)
        x = through(x, layers.BatchNormalization(), layers.LeakyReLU(0.2))
    return keras.Model(noise, layers.Conv2DTranspose(3, 4, 2, "same", activation="tanh")(x))


def picture_autoencoder() -> keras.Model:
    """A convolutional autoencoder (Masci et al., 2011) with ELU (Clevert et al., 2016) and bilinear resizing."""
    pictures = layers.Input((128, 128, 3))
    x = pictures
    for channels in (32, 64, 128):
        x = through(x, layers.Conv2D(channels, 4, 2, "same"), layers.ELU())
    for channels in (64, 32, 16):
        x = layers.UpSampling2D(2, interpolation="bilinear")(x)
        x = through(x, layers.Conv2D(channels, 3, padding="same"), layers.ELU())
    return keras.Model(pictures, layers.Conv2D(3, 3, padding="same", activation="sigmoid")(x))


# Text, sound and other sequences


def gpt() -> keras.Model:
    """GPT-2 (Radford et al., 2019), 4 layers of width 256: 4000 numbers for what follows each of 128 tokens."""
    tokens = layers.Input((128,), dtype="int32")
    x = with_positions(layers.Embedding(4000, 256)(tokens))
    for _ in range(4):
        x = transformer(x, 4, causal=True)
    return keras.Model(tokens, through(x, layers.LayerNormalization(), layers.Dense(4000)))


def whisper_encoder() -> keras.Model:
    """The encoder of Whisper (Radford et al., 2022), 2 layers of width 192: 10 seconds of 80 bands."""
    spectra = layers.Input((1000, 80))
    x = layers.Conv1D(192, 3, padding="same", activation="gelu")(spectra)
    x = layers.Conv1D(192, 3, 2, padding="same", activation="gelu")(x)
    for _ in range(2):
        x = transformer(x, 3)
    return keras.Model(spectra, layers.LayerNormalization()(x))


def temporal_convolutions() -> keras.Model:
    """TCN (Bai et al., 2018): dilated causal convolutions over 512 steps."""
    steps = layers.Input((512, 64))
    x = layers.Conv1D(64, 1)(steps)
    for dilation in (1, 2, 4, 8, 16, 32):
        y = layers.Conv1D(64, 3, padding="causal", dilation_rate=dilation, activation="relu")(x)
        y = layers.Conv1D(64, 3, padding="causal", dilation_rate=dilation, activation="relu")(y)
        x = x + y
    return keras.Model(steps, layers.Dense(20)(x))


def wavenet() -> keras.Model:
    """WaveNet (van den Oord et al., 2016): gated dilated convolutions over 1024 samples."""
    samples = layers.Input((1024, 1))
    x = layers.Conv1D(32, 1)(samples)
    skipped = 0
    for dilation in (1, 2, 4, 8, 16, 32, 64, 128):
        y = layers.Conv1D(32, 2, padding="causal", dilation_rate=dilation, activation="tanh")(x)
        gate = layers.Conv1D(32, 2, padding="causal", dilation_rate=dilation, activation="sigmoid")(x)
        y = y * gate
        skipped = skipped + layers.Conv1D(64, 1)(y)
        x = x + layers.Conv1D(32, 1)(y)
    x = through(skipped, layers.ReLU(), layers.Dense(128), layers.ReLU(), layers.Dense(256))
    return keras.Model(samples, x)


def lstm() -> keras.Model:
    """Two layers of LSTM (Hochreiter and Schmidhuber, 1997), as loops, and 12 classes for the whole sequence."""
    steps = layers.Input((100, 40))
    x = through(steps, layers.LSTM(128, return_sequences=True), layers.LSTM(128))
    return keras.Model(steps, layers.Dense(12)(x))


def bidirectional_lstm() -> keras.Model:
    """A bidirectional LSTM (Graves and Schmidhuber, 2005), as loops, and 40 classes for each step."""
    steps = layers.Input((64, 64))
    x = layers.Bidirectional(layers.LSTM(96, return_sequences=True))(steps)
    return keras.Model(steps, layers.Dense(40, activation="softmax")(x))


def gru_loop() -> keras.Model:
    """A GRU (Cho et al., 2014) as a loop, and 12 classes for the whole sequence."""
    steps = layers.Input((100, 40))
    return keras.Model(steps, through(steps, layers.GRU(128), layers.Dense(12)))


def gru_unrolled() -> keras.Model:
    """A GRU (Cho et al., 2014) with the operators of its 100 steps one after the other."""
    steps = layers.Input((100, 40))
    x = layers.GRU(128, return_sequences=True, unroll=True)(steps)
    return keras.Model(steps, layers.Dense(12)(x[:, -1]))


# Tables and points


def dlrm() -> keras.Model:
    """DLRM (Naumov et al., 2019): 13 numbers, 26 categories of one table, products of all pairs, one probability."""
    numbers = layers.Input((13,))
    categories = layers.Input((26,), dtype="int32")
    x = through(numbers, layers.Dense(128, activation="relu"), layers.Dense(64, activation="relu"))
    rows = [layers.Reshape((1, 64))(x), layers.Embedding(2000, 64)(categories)]
    rows = layers.Concatenate(axis=1)(rows)
    products = operations.matmul(rows, operations.transpose(rows, (0, 2, 1)))
    x = layers.Concatenate()([layers.Reshape((27 * 27,))(products), x])
    x = through(x, layers.Dense(256, activation="relu"), layers.Dense(128, activation="relu"))
    return keras.Model([numbers, categories], layers.Dense(1, activation="sigmoid")(x))


def pointnet() -> keras.Model:
    """PointNet (Qi et al., 2017) without its transforms: 40 classes of 1024 points."""
    points = layers.Input((1024, 3))
    x = points
    for channels in (64, 64, 128, 512):
        x = through(x, layers.Conv1D(channels, 1), layers.BatchNormalization(), layers.ReLU())
    x = through(x, layers.GlobalMaxPooling1D(), layers.Dense(256, activation="relu"))
    return keras.Model(points, layers.Dense(40, activation="softmax")(x))


# In the order of the table.
ALL = [yolo_v8, u_net, vision_transformer, mlp_mixer, segformer, gpt, whisper_encoder, shufflenet_v2, ghostnet, regnet]
ALL += [squeezenet, espcn, dcgan, face_embedding, picture_autoencoder, temporal_convolutions, wavenet, pointnet, dlrm]
ALL += [lstm, bidirectional_lstm, gru_loop, gru_unrolled]
NETWORKS: dict[str, Callable[[], keras.Model]] = {make.__name__: make for make in ALL}
