"""Every model of the shared collection against the stored results of LiteRT, in both arithmetics.

What cannot agree yet is named in expected_failures.json with the reason; a model that agrees though it is named there
fails too, so that the list stays true. Without the collection all is skipped, and the count says so.
"""
import json
import pathlib

import pytest

import capi
import golden

EXPECTED = json.loads((pathlib.Path(__file__).parent / "expected_failures.json").read_text())
CASES = list(golden.cases()) if (golden.MODELS / "cases.json").exists() else []
RESULTS = {}


@pytest.mark.parametrize("arithmetic", ["reference", "fast"])
@pytest.mark.parametrize(
    ("model", "case"), CASES or [(None, None)], ids=[f"{m}-{c.get('case', 'base')}" for m, c in CASES] or ["no models"]
)
def test_golden(model, case, arithmetic):
    if not CASES:
        pytest.skip(f"{golden.MODELS} is not there")
    mode = capi.REFERENCE if arithmetic == "reference" else capi.FAST
    try:
        agrees, sentence = golden.compare(model, case, mode)
    except capi.EdgeOptError as error:
        agrees, sentence = False, str(error)
    RESULTS.setdefault((arithmetic, model), []).append((agrees, sentence))
    expected = EXPECTED.get(model, {}).get(arithmetic)
    if agrees:
        assert expected is None, f"agrees now; take it off expected_failures.json: {expected}"
    elif expected is None:
        pytest.fail(sentence)
    else:
        pytest.xfail(f"{expected} ({sentence})")


def summary():
    """The counts, and one line for each model that does not agree."""
    if not CASES:
        yield f"goldens: skipped, {golden.MODELS} is not there"
        return
    for arithmetic in ("reference", "fast"):
        counts = []
        for is_operator, what in ((False, "models"), (True, "operator models")):
            chosen = {m: r for (a, m), r in RESULTS.items() if a == arithmetic and m.startswith("ops/") == is_operator}
            good = sum(
                all(agrees and sentence.startswith("agrees") for agrees, sentence in results)
                for results in chosen.values()
            )
            counts.append(f"{good} of {len(chosen)} {what}")
        yield f"{arithmetic} arithmetic: {' and '.join(counts)} run and agree"
    for (arithmetic, model), results in RESULTS.items():
        for agrees, sentence in results:
            if not agrees or not sentence.startswith("agrees"):
                yield f"  {model}, {arithmetic}: {sentence[:200]}"
