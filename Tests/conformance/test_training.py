"""The first ten steps of SGD and Adam on three networks, against Keras: losses and parameters within 1e-4.

Keras is in an environment of its own, `.venv-tensorflow` (`scripts/setup --tensorflow` makes it), or wherever
EDGEOPT_TENSORFLOW_PYTHON points to. Without one the tests are skipped.
"""

import os
import pathlib
import subprocess

import numpy as np
import pytest

import edgeopt

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOLERANCE = 1e-4
OPTIMIZERS = {
    "sgd": edgeopt.optimizers.SGD(0.05, momentum=0.9),
    "adam": edgeopt.optimizers.Adam(0.002),
}


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    python = pathlib.Path(os.environ.get("EDGEOPT_TENSORFLOW_PYTHON", ROOT / ".venv-tensorflow" / "bin" / "python"))
    if not python.exists():
        pytest.skip(f"no TensorFlow environment at {python}: scripts/setup --tensorflow makes one")
    path = tmp_path_factory.mktemp("keras") / "results.npz"
    script = pathlib.Path(__file__).with_name("keras_training.py")
    subprocess.run([python, script, path], check=True, capture_output=True)
    return np.load(path)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Length of the difference over length."""
    return float(np.linalg.norm(np.ravel(a).astype(np.float64) - np.ravel(b)) / max(np.linalg.norm(b), 1e-12))


def places(trainer: edgeopt.Trainer, start: list[np.ndarray]) -> dict[str, tuple[int, np.ndarray]]:
    """For each parameter the variable of Keras with the same numbers, and where in it they are."""
    found = {}
    for name, values in trainer.parameters.items():
        ours = np.sort(values, axis=None)
        same = [i for i, theirs in enumerate(start) if np.array_equal(ours, np.sort(theirs, axis=None))]
        assert len(same) == 1, f"{name} of shape {values.shape} is {len(same)} variables"
        order = np.empty(values.size, np.int64)
        order[np.argsort(values, axis=None)] = np.argsort(start[same[0]], axis=None)
        found[name] = (same[0], order)
    return found


@pytest.mark.parametrize("precision, tolerance", [("float32", TOLERANCE), ("bfloat16", 0.02)])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("network", ["convolutional", "residual", "transformer"])
def test_ten_steps_are_those_of_keras(keras, network, optimizer, precision, tolerance):
    prefix = f"{network}/{optimizer}"
    x, y = keras[f"{prefix}/x"], keras[f"{prefix}/y"]
    trainer = edgeopt.Trainer(
        keras[f"{prefix}/model"].tobytes(),
        optimizer=OPTIMIZERS[optimizer],
        batch_size=x.shape[1],
        precision=precision,
    )
    count = len([key for key in keras.files if key.startswith(f"{prefix}/start/")])
    found = places(trainer, [keras[f"{prefix}/start/{i}"] for i in range(count)])
    assert len(found) == count
    for step in range(len(x)):
        loss = trainer.step(x[step], y[step]).loss
        assert loss == pytest.approx(float(keras[f"{prefix}/loss/{step}"]), rel=tolerance), f"step {step}"
        for name, values in trainer.parameters.items():
            variable, order = found[name]
            theirs = np.ravel(keras[f"{prefix}/after/{step}/{variable}"])[order]
            assert distance(values, theirs) < tolerance, f"step {step}: {name}"
