"""Every model of ../shared/models against outputs that LiteRT computed, where that folder is there.

A model that needs operators which are not there yet is skipped with their names; the closing line counts them.
"""

import json
import pathlib

import numpy as np
import pytest

import edgeopt

SHARED = pathlib.Path(__file__).resolve().parents[3] / "shared" / "models"
GOLDENS = sorted((SHARED / "goldens").rglob("case.json"))
# On the fast path this share of an output may be further off: where a step flips, networks with float ends amplify it.
STRAY = 0.001
MODES = {"fast": edgeopt.OpResolverType.AUTO, "reference": edgeopt.OpResolverType.BUILTIN_REF}


def name_of(path):
    return "-".join(path.relative_to(SHARED / "goldens").parent.parts)


def run(model, golden, inputs, mode):
    """For each output its values of all steps, stacked."""
    interpreter = edgeopt.Interpreter(model, experimental_op_resolver_type=MODES[mode])
    steps = golden["steps"]
    if golden.get("signature"):
        runner = interpreter.get_signature_runner(golden["signature"])
        names = [tensor["arg"] for tensor in golden["inputs"]]
        results = [runner(**{n: stack[k] for n, stack in zip(names, inputs)}) for k in range(steps)]
        return [np.stack([result[tensor["arg"]] for result in results]) for tensor in golden["outputs"]]
    details = interpreter.get_input_details()
    for position, shape in (golden.get("resize") or {}).items():
        interpreter.resize_tensor_input(details[int(position)]["index"], shape)
    interpreter.allocate_tensors()
    outputs = [detail["index"] for detail in interpreter.get_output_details()]
    results = []
    for step in range(steps):
        for detail, stack in zip(details, inputs):
            interpreter.set_tensor(detail["index"], stack[step])
        interpreter.invoke()
        results.append([interpreter.get_tensor(index) for index in outputs])
    return [np.stack(values) for values in zip(*results)]


def thinned(values, stride):
    return values if stride == 1 else values.ravel()[::stride]


def load(path):
    with np.load(path) as archive:
        return [archive[key] for key in sorted(archive, key=lambda key: int("".join(filter(str.isdigit, key))))]


def tolerance(golden, position, expected, mode):
    """Integers in reference mode: none. Floats: 1e-5 of the largest value. Else what LiteRT's own kernels differ by."""
    floating = np.issubdtype(expected.dtype, np.floating)
    finite = np.abs(expected[np.isfinite(expected)]) if floating else np.zeros(0)
    least = 1e-5 * float(finite.max()) if finite.size else 0.0
    if mode == "reference" and golden["oracle"] == "ref":
        return least
    gaps = [gap[position].get("max_abs") or 0 for gap in golden.get("diff", {}).values()]
    return max([least if floating else 1.0, *gaps])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", GOLDENS, ids=map(name_of, GOLDENS))
def test_golden(path, mode):
    golden = json.loads(path.read_text())
    if not golden.get("oracle"):
        pytest.skip("LiteRT has no right answer: " + str(golden.get("no_oracle") or golden.get("litert_refuses")))
    try:
        results = run(SHARED / golden["model"], golden, load(path.with_name("inputs.npz")), mode)
    except edgeopt.UnsupportedError as error:
        pytest.skip(str(error))
    for position, expected in enumerate(load(path.with_name("outputs.npz"))):
        assert list(results[position].shape) == golden["full_shapes"][position]
        found = thinned(results[position], golden["stride"][position])
        if expected.dtype.kind in "SUOb":
            np.testing.assert_array_equal(found.astype(expected.dtype), expected)
            continue
        assert found.dtype == expected.dtype
        allowed = tolerance(golden, position, expected, mode)
        beyond = np.mean(~np.isclose(found.astype(np.float64), expected.astype(np.float64), 0, allowed, equal_nan=True))
        assert beyond <= (0 if mode == "reference" else STRAY), f"output {position}: {beyond:.2%} beyond {allowed}"


@pytest.mark.skipif(not GOLDENS, reason="../shared/models is not there")
def test_goldens_are_there():
    assert len(GOLDENS) > 100
