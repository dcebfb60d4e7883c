"""The command that ships, build/bin/edgeopt: what it prints, and its exit status."""

import gzip
import json
import pathlib
import re
import signal
import subprocess

import numpy as np
import pytest
from PIL import Image

import edgeopt

COMMAND = pathlib.Path(__file__).resolve().parents[2] / "build" / "bin" / "edgeopt"
NUMBER = r"[-+.\de]+"
COUNTS = rf"count=\d+ (first=\d+ curr=\d+ min=\d+ max=\d+ avg={NUMBER} std=\d+ p5=\d+ median=\d+ p95=\d+|curr=.*)"


def call(*arguments, status=0):
    done = subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("command")


@pytest.fixture(scope="module")
def small(folder, digits_path):
    path = folder / "small.tflite"
    samples = digits_path.with_name("samples.f32")
    call("quantize", digits_path, "-o", path, "--scheme", "int8", "--calibration", samples)
    return path


@pytest.fixture(scope="module")
def pictures(folder, images, labels):
    """Twenty held-out digits as PNG and JPEG, and a file with their labels."""
    photos = folder / "photos"
    photos.mkdir()
    for number, image in enumerate(images[-20:]):
        pixels = Image.fromarray((image[..., 0] * 255).astype(np.uint8)).resize((32, 32), Image.BICUBIC)
        pixels.save(photos / f"{number:02}.{'png' if number % 2 else 'jpg'}")
    (folder / "labels.txt").write_text("\n".join(map(str, labels[-20:])) + "\n")
    return photos


def test_version_and_help():
    assert call("--version").strip() == edgeopt.version()
    for subcommand in ("inspect", "quantize", "run", "benchmark", "diff", "evaluate"):
        assert subcommand in call("--help")
        assert "USAGE" in call(subcommand, "--help")


def test_wrong_usage_is_status_2(digits_path):
    for wrong in (["nonsense"], ["inspect"], ["quantize", digits_path], ["run", digits_path, "--bogus"]):
        assert "Usage" in call(*wrong, status=2) or "usage" in call(*wrong, status=2)
    assert "--calibration" in call("quantize", digits_path, "-o", "x", "--scheme", "int8", status=2)
    assert "Unknown option" in call("benchmark", f"--graph={digits_path}", "--bogus=1", status=2)


def test_failure_is_status_1_with_a_sentence(folder, digits_path):
    assert "nope.tflite" in call("inspect", folder / "nope.tflite", status=1)
    broken = folder / "broken.tflite"
    broken.write_bytes(digits_path.read_bytes()[:5000])
    assert "broken.tflite" in call("inspect", broken, status=1)


def test_inspect(digits_path, small):
    text = call("inspect", digits_path)
    assert "4 CONV_2D" in text and "[-1,8,8,1]" in text and "serving_default" in text
    assert "arena" in call("inspect", digits_path, "--plan")
    report = json.loads(call("inspect", small, "--plan", "--json"))
    assert [op["name"] for op in report["subgraphs"][0]["operators"]][1:5] == ["CONV_2D"] * 4
    assert report["size"] == small.stat().st_size and report["plan"]["arenaSize"] > 0
    assert any(tensor.get("quantization") for tensor in report["subgraphs"][0]["tensors"])


@pytest.mark.parametrize("scheme, share", [("float16", 0.53), ("dynamic_range", 0.3), ("int16x8", 0.3)])
def test_quantize(folder, digits_path, scheme, share):
    path = folder / f"{scheme}.tflite"
    samples = digits_path.with_name("samples.f32")
    text = call("quantize", digits_path, "-o", path, "--scheme", scheme, "--calibration", samples)
    assert path.name in text
    assert path.stat().st_size <= share * digits_path.stat().st_size


def test_every_form_of_samples_gives_the_same_model(folder, digits_path, images, small):
    samples = np.fromfile(digits_path.with_name("samples.f32"), np.float32).reshape(-1, 8, 8, 1)
    name = edgeopt.Model(digits_path).inputs[0].name
    np.save(folder / "samples.npy", samples)
    np.save(folder / "leading.npy", samples[:, np.newaxis].astype(np.float64))
    np.savez(folder / "stored.npz", samples)
    np.savez_compressed(folder / "deflated.npz", other=samples[:, :1], **{name: samples})
    for file in ("samples.npy", "leading.npy", "stored.npz", "deflated.npz"):
        path = folder / "again.tflite"
        call("quantize", digits_path, "-o", path, "--calibration", folder / file)
        assert path.read_bytes() == small.read_bytes(), file


def test_the_command_makes_what_the_package_makes(digits_path, small):
    samples = np.fromfile(digits_path.with_name("samples.f32"), np.float32).reshape(-1, 1, 8, 8, 1)
    assert edgeopt.quantize(digits_path, "int8", samples).to_bytes() == small.read_bytes()


def test_broken_samples_are_refused(folder, digits_path):
    good = folder / "good.npy"
    np.save(good, np.zeros((3, 8, 8, 1), np.float32))
    data = good.read_bytes()
    zipped = folder / "good.npz"
    np.savez_compressed(zipped, np.zeros((3, 8, 8, 1), np.float32))
    archive = zipped.read_bytes()
    wrong = {
        "cut.npy": data[:200],
        "header.npy": data[:60],
        "negative.npy": data.replace(b"(3, 8", b"(-3,8"),
        "huge.npy": data.replace(b"(3, 8, 8, 1)", b"(9999999999)"),
        "fortran.npy": data.replace(b"False", b"True "),
        "endian.npy": data.replace(b"<f4", b">f4"),
        "shape.npy": data.replace(b"(3, 8", b"(4, 6"),
        "empty.raw": b"",
        "odd.raw": b"\0" * 257,
        "empty.npz": b"",
        "cut.npz": archive[: len(archive) // 2],
        "flipped.npz": archive[:60] + bytes(b ^ 0xFF for b in archive[60:90]) + archive[90:],
        "not.jpg": b"this is not a picture",
        "cut.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF",
        "cut.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    }
    for name, content in wrong.items():
        (folder / name).write_bytes(content)
        arguments = ("quantize", digits_path, "-o", folder / "x.tflite", "--calibration", folder / name, "--size", "8")
        assert name in call(*arguments, status=1), name


def test_run_writes_what_the_package_computes(folder, digits_path, images):
    np.save(folder / "batch.npy", images[:3])
    text = call("run", digits_path, "--input", folder / "batch.npy", "--output", folder / "result")
    assert "[3,10]" in text and "largest" in text
    runner = edgeopt.Interpreter(digits_path).get_signature_runner()
    np.testing.assert_array_equal(np.load(folder / "result0.npy"), runner(input=images[:3])["output"])


def test_run_takes_pictures(digits_path, pictures, labels):
    arguments = ("--mean", "0", "--std", "255", "--crop", "1")
    text = call("run", digits_path, "--input", pictures / "00.jpg", *arguments)
    assert f"largest: [{labels[-20]}]" in text


def test_evaluate_prints_the_lines_of_run_eval(folder, digits_path, pictures):
    output = folder / "metrics.txt"
    text = call(
        "evaluate", f"--model_file={digits_path}", f"--ground_truth_images_path={pictures}",
        f"--ground_truth_labels={folder / 'labels.txt'}", f"--output_file_path={output}",
        "--mean=0", "--std=255", "--crop=1",
    )  # fmt: skip
    lines = text.splitlines()
    assert lines[0] == "Num evaluation runs: 20"
    for line, name in zip(lines[1:3], ("Preprocessing", "Inference")):
        assert re.fullmatch(rf"{name} latency: avg={NUMBER}\(us\), std_dev=\d+\(us\)", line)
    accuracies = []
    for k, line in enumerate(lines[3:], 1):
        accuracies.append(float(re.fullmatch(rf"Top-{k} Accuracy: ({NUMBER})", line)[1]))
    assert len(accuracies) == 10
    assert accuracies == sorted(accuracies) and accuracies[0] >= 0.8 and accuracies[-1] == 1
    assert output.read_text() == text


def test_diff_prints_the_lines_of_inference_diff(digits_path, small):
    lines = call("diff", f"--model_file={digits_path}", "--num_runs=3", "--num_interpreter_threads=2").splitlines()
    assert lines[0] == "Num evaluation runs: 3"
    assert re.fullmatch(rf"Reference run latency: avg={NUMBER}\(us\), std_dev=\d+\(us\)", lines[1])
    assert re.fullmatch(rf"Test run latency: avg={NUMBER}\(us\), std_dev=\d+\(us\)", lines[2])
    same = re.fullmatch(rf"OutputDiff\[0\]: avg_error=({NUMBER}), std_dev={NUMBER}", lines[3])
    assert len(lines) == 4 and float(same[1]) < 1e-5
    lines = call("diff", f"--model_file={digits_path}", f"--test_model_file={small}", "--num_runs=3").splitlines()
    assert 1e-5 < float(re.search(rf"avg_error=({NUMBER})", lines[3])[1]) < 0.2


def test_benchmark_prints_the_lines_of_benchmark_model(folder, small):
    csv = folder / "profile.csv"
    text = call(
        "benchmark", f"--graph={small}", "--num_runs=5", "--min_secs=0", "--warmup_min_secs=0", "--num_threads=1",
        "--enable_op_profiling=true", f"--profiling_output_csv_file={csv}", "--use_xnnpack=false",
        "--report_peak_memory_footprint=true",
    )  # fmt: skip
    lines = text.splitlines()
    assert lines[0] == "STARTING!"
    assert "Min num runs: [5]" in lines and "Num threads: [1]" in lines and f"Graph: [{small}]" in lines
    assert (
        "Running benchmark for at least 5 iterations and at least 0 seconds but terminate if exceeding 150 seconds."
        in lines
    )
    assert any(re.fullmatch(COUNTS, line) and line.startswith("count=5 ") for line in lines)
    timings = rf"Inference timings in us: Init: \d+, First inference: {NUMBER}, Warmup \(avg\): {NUMBER}, "
    assert any(re.fullmatch(timings + rf"Inference \(avg\): {NUMBER}", line) for line in lines)
    memory = rf"Memory footprint delta from the start of the tool \(MB\): init={NUMBER} overall={NUMBER}"
    assert any(re.fullmatch(memory, line) for line in lines)
    assert any(line.startswith("Overall peak memory footprint (MB)") for line in lines)
    table = csv.read_text()
    for title in ("Run Order", "Top by Computation Time", "Summary by node type"):
        assert f"{'=' * 30} {title} {'=' * 30}" in table
    assert "node type, start, first, avg_ms, %, cdf%, mem KB, times called, name" in table
    assert re.search(rf"^CONV_2D, 4, {NUMBER}, {NUMBER}%, {NUMBER}%, 0, 4$", table, re.MULTILINE)


def test_benchmark_inputs_and_modes(folder, digits_path, images):
    images[:2].tofile(folder / "two.raw")
    base = ("benchmark", f"--graph={digits_path}", "--num_runs=1", "--min_secs=0", "--warmup_min_secs=0")
    call(
        *base, "--input_layer=input", "--input_layer_shape=2,8,8,1",
        f"--output_filepath={folder / 'out.raw'}",
    )  # fmt: skip
    assert (folder / "out.raw").stat().st_size == 2 * 10 * 4
    assert "Signature: [serving_default]" in call(*base, "--list_signatures=true")
    assert "count=0" in call(*base, "--dry_run=true")
    assert "no input" in call(*base, "--input_layer=x", "--input_layer_shape=1", status=1)


def test_finetune_prunes_clusters_and_quantizes(folder, digits_path, images, labels):
    x, y = images.reshape(-1, 8, 8, 1)[:320].astype(np.float32), labels[:320]
    data, log, paths = folder / "train.npz", folder / "log.csv", [folder / f"tuned{i}.tflite" for i in range(3)]
    np.savez(data, images=x, labels=y)
    out = call("finetune", digits_path, "--data", data, "--epochs", 2, "--prune", 0.75, "--log", log, "-o", paths[0],
               "--precision", "bfloat16")
    assert float(re.search(r"([\d.]+) % of \d+ weights", out)[1]) > 74.5 and "epoch 2/2: loss" in out
    rows = [line.split(",") for line in log.read_text().splitlines()]
    assert [row[0] for row in rows] == ["epoch", "1", "2"] and rows[0][-1] == "sparsity" and float(rows[2][-1]) > 0.74
    assert re.search(r"epoch 2/2: loss .*, 74\.\d+ % zeros", out)
    np.save(folder / "x.npy", x)
    (folder / "y.txt").write_text("".join(f"{label}\n" for label in y))
    more = ["--data", folder / "x.npy", "--labels", folder / "y.txt", "--preserve"]
    call("finetune", paths[0], *more, "--cluster", 16, "-o", paths[1])
    call("finetune", paths[1], *more, "--quantize", "int8", "-o", paths[2])
    found = [weights for weights in edgeopt.weights(paths[2]) if weights.elements >= 600]
    assert len(found) >= 3
    for weights in found:
        assert weights.type == "INT8" and weights.distinct <= 16 and weights.sparsity >= 0.74


def test_finetune_minimizes_what_it_is_told(folder, digits_path, images, labels):
    x, classes = images.reshape(-1, 8, 8, 1)[:320].astype(np.float32), labels[:320]

    def finetune(name, values, *options, status=0):
        np.savez(folder / f"{name}.npz", images=x, labels=values)
        return call("finetune", digits_path, "--data", folder / f"{name}.npz", *options, "-o", folder / "l.tflite",
                    status=status)

    def loss(*arguments):
        return float(re.search(r"loss ([\d.]+)", finetune(*arguments))[1])

    one_hot = np.eye(10, dtype=np.float32)[classes]
    plain, same = loss("classes", classes), loss("one_hot", one_hot, "--loss", "categorical")
    assert abs(plain - same) < 2e-4
    assert loss("classes", classes, "--label-smoothing", 0.2) > plain + 0.2
    assert loss("one_hot", one_hot, "--loss", "squared-error") < 0.02
    assert loss("one_hot", one_hot, "--loss", "squared-error", "--distill") < 0.01
    assert "auto or squared-error" in finetune("classes", classes, "--loss", "huber", "--distill", status=1)
    assert "expected the number of a class" in finetune("parts", classes + 0.5, status=1)
    assert "labels" in finetune("narrow", one_hot[:, :9], "--loss", "cosine", status=1)


def test_finetune_goes_on_from_a_checkpoint(folder, digits_path, images, labels):
    data, checkpoint = folder / "part.npz", folder / "train.ckpt"
    np.savez(data, images=images.reshape(-1, 8, 8, 1)[:320].astype(np.float32), labels=labels[:320])
    arguments = [COMMAND, "finetune", digits_path, "--data", data, "--epochs", "8", "--optimizer", "sgd"]
    process = subprocess.Popen(
        [*arguments, "--checkpoint", checkpoint, "-o", folder / "part.tflite"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().startswith("epoch 1/8")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 1 and "goes on from" in errors
    call(*arguments[1:], "--checkpoint", checkpoint, "-o", folder / "part.tflite")
    call(*arguments[1:], "-o", folder / "whole.tflite")
    assert (folder / "part.tflite").read_bytes() == (folder / "whole.tflite").read_bytes()
    assert "another seed" in call(
        *arguments[1:], "--seed", 4, "--checkpoint", checkpoint, "-o", folder / "part.tflite", status=1
    )


def test_finetune_takes_folders_of_classes_and_refuses_nonsense(folder, digits_path, images, labels):
    for index, (image, label) in enumerate(zip(images[:40], labels[:40])):
        place = folder / "classes" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((np.squeeze(image) * 255).astype(np.uint8)).save(place / f"{index}.png")
    out = call(
        "finetune", digits_path, "--data", folder / "classes", "--mean", 0, "--std", 255, "--crop", 1, "-o",
        folder / "p.tflite",
    )
    assert float(re.search(r"accuracy ([\d.]+)", out)[1]) > 90
    model, samples = ["finetune", digits_path, "-o", folder / "no.tflite"], digits_path.with_name("samples.f32")
    assert "no array 'labels'" not in call(*model, "--data", samples, "--distill")
    assert "nothing.txt" in call(*model, "--data", samples, "--labels", folder / "nothing.txt", status=1)
    (folder / "two.txt").write_text("1\n2\n")
    assert "2 labels" in call(*model, "--data", samples, "--labels", folder / "two.txt", status=1)
    assert "sparsity of 1.5" in call(*model, "--data", samples, "--distill", "--prune", 1.5, status=1)
    assert "epochs" in call(*model, "--data", samples, "--distill", "--epochs", 0, status=2)
    # Before an epoch of training, not after it.
    for option in ("-o", "--checkpoint"):
        out = call(*model, "--data", samples, "--distill", option, folder / "nowhere" / "x", status=1)
        assert "nowhere/x: No such file" in out and "epoch" not in out
    assert "--mean has 2 numbers" in call(*model, "--data", samples.with_name("images.npy"), "--distill", "--mean", "1,2", status=1)


def test_finetune_reads_idx_files_and_measures(folder, digits_path, images, labels):
    pixels = np.round(np.squeeze(images[:400]) * 255).astype(np.uint8)
    for name, values in (("train-images", pixels), ("train-labels", labels[:400].astype(np.uint8))):
        header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
        (folder / f"{name}-idx-ubyte.gz").write_bytes(gzip.compress(header + values.tobytes()))
    log = folder / "measured.csv"
    common = [
        "finetune", digits_path, "--data", folder / "train-images-idx-ubyte.gz", "--labels",
        folder / "train-labels-idx-ubyte.gz", "--mean", 0, "--std", 255, "-o", folder / "idx.tflite",
    ]
    more = ["--schedule", "cosine", "--warm-up", 0.5, "--learning-rate", 0.0005, "--validation-split", 0.25]
    changes = ["--shift", 1, "--flip", "--noise", 0.02, "--mask-time", 1, "--mask-frequency", 1]
    out = call(*common, *more, *changes, "--epochs", 2, "--log", log)
    found = re.findall(r"validation: loss [\d.]+, accuracy ([\d.]+)", out)
    assert len(found) == 2 and float(found[-1]) > 80
    rows = [line.split(",") for line in log.read_text().splitlines()]
    assert rows[0] == ["epoch", "loss", "accuracy", "seconds", "val_loss", "val_accuracy"]
    assert float(rows[2][5]) == pytest.approx(float(found[-1]) / 100, abs=1e-4)
    (folder / "cut-ubyte").write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 9]))
    assert "cut off" in call(*common, "--labels", folder / "cut-ubyte", status=1)
    assert "not both" in call(*common, "--validation-split", 0.1, "--validation-data", "x", status=2)


def test_finetune_makes_everything_at_once(folder, digits_path, images, labels):
    data, path = folder / "all.npz", folder / "all.tflite"
    np.savez(data, images=images.reshape(-1, 8, 8, 1)[:320].astype(np.float32), labels=labels[:320])
    out = call(
        "finetune", digits_path, "--data", data, "--epochs", 4, "--prune", 0.6, "--global", "--cluster", 8,
        "--cluster-layer", "*=8", "--quantize", "int8", "--weight-bits-of", "FULLY_CONNECTED=4", "--ranges",
        "all_values", "--freeze-after", 3, "-o", path,
    )
    assert float(re.search(r"accuracy ([\d.]+) %, [\d.]+ % zeros$", out, re.M)[1]) > 85
    found = [weights for weights in edgeopt.weights(path) if weights.elements >= 64]
    assert {weights.type for weights in found} == {"INT8", "INT4"}
    assert all(weights.distinct <= 8 for weights in found)
    zeros = sum(weights.zeros for weights in found) / sum(weights.elements for weights in found)
    assert zeros == pytest.approx(0.6, abs=0.03)


def test_optimize_trains_its_leaves(folder, digits_path, images, labels):
    data, place = folder / "tree.npz", folder / "tree"
    np.savez(data, images=images.reshape(-1, 8, 8, 1)[:320].astype(np.float32), labels=labels[:320])
    out = call(
        "optimize", digits_path, "-o", place, "--train-data", data, "--test-data", data, "--epochs", 2, "--sparsity",
        0.6, "--clusters", 16, "--scheme", "int8", "--histograms", 16, "--plot", folder / "weights.svg",
    )
    assert len(out.splitlines()) == 9
    leaves = {leaf["name"]: leaf for leaf in json.loads((place / "summary.json").read_text())}
    assert len(leaves) == 8 and "pruned60_clustered16_int8_qat" in leaves
    for name, leaf in leaves.items():
        assert leaf["accuracy"] > 0.8 and ("pruned" in name) == (leaf["sparsity"] > 0.59), name
        assert all(len(histogram["counts"]) == 16 for histogram in leaf["histograms"])
        edgeopt.Interpreter(str(place / f"{name}.tflite")).allocate_tensors()
    assert (folder / "weights.svg").read_text().count("<path") >= 8
