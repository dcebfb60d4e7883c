"""edgeopt.Trainer on the digits of the examples."""

import csv

import numpy as np
import pytest

import edgeopt
from edgeopt import callbacks, optimizers, schedules


@pytest.fixture(scope="module")
def data(images, labels):
    """Half of the images to learn from, half to look at."""
    x, y = images.reshape(-1, 8, 8, 1).astype(np.float32), labels.astype(np.int32)
    return (x[::2][:320], y[::2][:320]), (x[1::2][:200], y[1::2][:200])


@pytest.fixture(scope="module")
def spoiled(digits_path):
    """The model with weights that have forgotten a part of what they knew."""
    trainer = edgeopt.Trainer(digits_path)
    generator = np.random.default_rng(1)
    for name, values in trainer.parameters.items():
        trainer.set_parameter(name, values + generator.normal(0, 0.3 * values.std() + 0.05, values.shape))
    return trainer.export()


def make(model, **options):
    return edgeopt.Trainer(model, **{"optimizer": optimizers.Adam(0.003), "batch_size": 32, **options})


def test_fit_brings_back_what_was_forgotten(spoiled, data):
    trainer = make(spoiled)
    before = trainer.evaluate(*data[1])
    history = trainer.fit(*data[0], epochs=4, validation_data=data[1])
    assert [set(logs) for logs in history] == [
        {"loss", "accuracy", "learning_rate", "seconds", "val_loss", "val_accuracy"}
    ] * 4
    after = trainer.evaluate(*data[1])
    assert history[-1]["val_loss"] == pytest.approx(after["loss"])
    assert after["accuracy"] > before["accuracy"] + 0.05 and after["accuracy"] > 0.9
    assert trainer.steps == 4 * 10


def test_bfloat16_learns_as_well_and_threads_do_not_show(spoiled, data):
    trainers = [make(spoiled, precision="bfloat16", num_threads=threads) for threads in (1, 2)]
    before = trainers[0].evaluate(*data[1])
    assert before == make(spoiled).evaluate(*data[1])
    for trainer in trainers:
        trainer.fit(*data[0], epochs=4)
    after = [trainer.evaluate(*data[1]) for trainer in trainers]
    assert after[0] == after[1] and after[0]["accuracy"] > max(0.9, before["accuracy"] + 0.05)


def test_exported_model_says_what_the_trainer_predicts(spoiled, data):
    trainer = make(spoiled)
    trainer.fit(*data[0])
    predicted = trainer.predict(data[1][0][:50])
    interpreter = edgeopt.Interpreter(model_content=trainer.export().to_bytes())
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], [50, 8, 8, 1])
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], data[1][0][:50])
    interpreter.invoke()
    computed = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(predicted, computed, atol=1e-5)


def test_iterables_give_what_arrays_give(spoiled, data):
    x, y = data[0]
    batches = [(x[i : i + 32], y[i : i + 32]) for i in range(0, len(x), 32)]
    trainers = [make(spoiled), make(spoiled)]
    a = trainers[0].fit(x, y, shuffle=False)
    b = trainers[1].fit(batches)
    assert a[0]["loss"] == b[0]["loss"]
    for name, values in trainers[0].parameters.items():
        np.testing.assert_array_equal(values, trainers[1].parameters[name])


class Interrupt(callbacks.Callback):
    """Ctrl-C after some steps."""

    def __init__(self, step):
        self._step = step

    def on_step_end(self, trainer, step, logs):
        if step == self._step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("step", [3, 10, 13])
def test_interrupted_training_goes_on_with_the_same_bits(spoiled, data, tmp_path, step):
    def noise(x, generator):
        return x + generator.normal(0, 0.01, x.shape).astype(np.float32)

    options = {
        "optimizer": optimizers.SGD(schedules.Cosine(0.05, steps=30, warmup=5), momentum=0.9, averaging=0.9),
    }
    whole = make(spoiled, **options)
    expected = whole.fit(*data[0], epochs=3, augment=noise, validation_data=data[1])
    path = tmp_path / "train.ckpt"
    with pytest.raises(KeyboardInterrupt):
        make(spoiled, **options).fit(
            *data[0], epochs=3, augment=noise, validation_data=data[1], checkpoint=path, callbacks=[Interrupt(step)]
        )
    resumed = make(spoiled, **options)
    history = resumed.fit(*data[0], epochs=3, augment=noise, validation_data=data[1], checkpoint=path)
    for logs, wanted in zip(history, expected):
        assert {k: v for k, v in logs.items() if k != "seconds"} == {k: v for k, v in wanted.items() if k != "seconds"}
    for name, values in whole.parameters.items():
        np.testing.assert_array_equal(values, resumed.parameters[name])
    with pytest.raises(edgeopt.ArgumentError, match="seed 0, not 5"):
        make(spoiled, **options).fit(*data[0], seed=5, checkpoint=path)


def test_batch_normalization_is_folded_at_export(spoiled, data):
    trainer = make(spoiled, batch_normalization=True, batch_norm_momentum=0.8)
    trainer.fit(*data[0], epochs=2)
    ours = trainer.evaluate(*data[1])
    exported = make(trainer.export()).evaluate(*data[1])
    assert exported["loss"] == pytest.approx(ours["loss"], rel=1e-3)
    assert len(trainer.export().subgraphs[0].operators) <= len(spoiled.subgraphs[0].operators)


def test_distillation_needs_no_labels(digits_path, data):
    trainer = make(digits_path, loss=edgeopt.Loss("distillation", temperature=2), optimizer=optimizers.Adam(0.001))
    assert trainer.label_names == []
    assert trainer.evaluate(data[1][0])["loss"] == pytest.approx(0, abs=1e-6)
    name, values = next(iter(trainer.parameters.items()))
    trainer.set_parameter(name, values * 2)
    before = trainer.evaluate(data[1][0])["loss"]
    trainer.fit(data[0][0], epochs=4)
    assert trainer.evaluate(data[1][0])["loss"] < before / 2


def test_host_loss(spoiled, data):
    """Squared error in Python: the steps of our own."""
    x, y = data[0][0][:32], np.eye(10, dtype=np.float32)[data[0][1][:32]]

    def squared(outputs):
        error = outputs[0] - y
        return float(np.mean(error**2)), [2 * error / error.size]

    ours = make(spoiled, loss="mse")
    theirs = make(spoiled, loss="host", host_loss=squared)
    for _ in range(3):
        assert theirs.step(x).loss == pytest.approx(ours.step(x, y).loss, rel=1e-5)
    for name, values in ours.parameters.items():
        np.testing.assert_allclose(values, theirs.parameters[name], atol=1e-4)


def test_an_exception_in_the_host_loss_comes_back(spoiled, data):
    def broken(outputs):
        raise ZeroDivisionError("mine")

    trainer = make(spoiled, loss="host", host_loss=broken)
    with pytest.raises(ZeroDivisionError, match="mine"):
        trainer.step(data[0][0][:32])
    assert trainer.steps == 0


def test_logs_and_early_stopping(spoiled, data, tmp_path):
    class Worse(callbacks.Callback):
        def on_epoch_end(self, trainer, epoch, logs):
            logs["val_loss"] = float(epoch)

    path = tmp_path / "log.csv"
    history = make(spoiled).fit(
        *data[0], epochs=9, callbacks=[Worse(), callbacks.CSVLog(path), callbacks.EarlyStopping(patience=2)]
    )
    assert len(history) == 3
    rows = list(csv.DictReader(path.open()))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2] and float(rows[0]["loss"]) == history[0]["loss"]


def test_tensorboard_files_are_written(spoiled, data, tmp_path):
    pytest.importorskip("tensorboard")
    make(spoiled).fit(*data[0], callbacks=[callbacks.TensorBoard(tmp_path / "events")])
    assert any((tmp_path / "events").iterdir())


def test_wrong_use(digits_path, spoiled, data):
    x, y = data[0]
    trainer = make(spoiled)
    with pytest.raises(edgeopt.ArgumentError, match="sample 3 has class 10"):
        trainer.step(x[:5], np.array([1, 2, 3, 10, 4]))
    with pytest.raises(edgeopt.ArgumentError, match="expected \\[samples, 8, 8, 1\\]"):
        trainer.step(x[:5, :7], y[:5])
    with pytest.raises(edgeopt.ArgumentError, match="different numbers of samples"):
        trainer.fit(x[:5], y[:4])
    with pytest.raises(edgeopt.ArgumentError, match="1 to 32 samples, not 33"):
        trainer.step(x[:33], y[:33])
    with pytest.raises(edgeopt.ExecutionError, match="input 0.*not finite"):
        trainer.step(np.full((1, 8, 8, 1), np.nan, np.float32), [1])
    with pytest.raises(edgeopt.ArgumentError, match="'hinge' is not one of"):
        make(spoiled, loss="hinge")
    with pytest.raises(edgeopt.ArgumentError, match="precision is 'float8'"):
        make(spoiled, precision="float8")
    with pytest.raises(edgeopt.ArgumentError, match="no parameter has a name like 'nothing'"):
        make(spoiled, frozen=["nothing"])
    with pytest.raises(edgeopt.ModelError, match="already quantized"):
        make(edgeopt.quantize(digits_path, scheme="int8", calibration=x[:8, None]))
    with pytest.raises(edgeopt.FileError, match="no such file|No such file"):
        trainer.restore("/no/such/file")
    with pytest.raises(edgeopt.ArgumentError, match="there is no parameter 'nothing', only"):
        trainer.set_parameter("nothing", [1])
    with pytest.raises(edgeopt.ArgumentError, match="there are no samples"):
        trainer.predict(x[:0])


def test_sparsity_is_told_while_pruning(spoiled, data):
    trainer = make(spoiled, pruning=edgeopt.PolynomialDecay(0.2, 0.75, begin_step=0, end_step=20, frequency=1))
    history = trainer.fit(*data[0], epochs=3)
    shares = [logs["sparsity"] for logs in history]
    assert shares == sorted(shares) and shares[0] > 0.2 and shares[-1] == trainer.sparsity > 0.7


def test_an_iterator_serves_one_epoch(spoiled, data):
    x, y = data[0]
    with pytest.raises(edgeopt.ArgumentError, match="epoch 2 has no batches"):
        make(spoiled).fit(iter([(x[:32], y[:32])]), epochs=2)


def test_one_pattern_may_come_alone(spoiled):
    trainer = make(spoiled, trainable="*")
    assert set(trainer.parameters) == set(make(spoiled).parameters)
