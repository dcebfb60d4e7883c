import pathlib

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits"


@pytest.fixture(scope="session")
def digits_path() -> pathlib.Path:
    return DIGITS / "digits_float32.tflite"


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """All images as the model takes them; the first half was for training."""
    return np.load(DIGITS / "images.npy") / np.float32(16)


@pytest.fixture(scope="session")
def labels() -> np.ndarray:
    return np.load(DIGITS / "labels.npy")
