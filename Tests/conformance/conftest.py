"""Says at the end how many of the shared models run and agree with LiteRT, and names those that do not."""

import re

GOLDEN = re.compile(r"test_goldens\.py::test_golden\[(?P<case>.*)-(?P<mode>\w+)\]$")


def model_of(case):
    """The model of a case: ops-NAME-CASE or NAME-CASE."""
    return "-".join(case.split("-")[:2]) if case.startswith("ops-") else case.split("-")[0]


def pytest_terminal_summary(terminalreporter):
    outcomes, reasons = {}, {}
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            found = GOLDEN.search(report.nodeid)
            if not found:
                continue
            key = found["mode"], model_of(found["case"])
            outcomes.setdefault(key, set()).add(outcome)
            if outcome == "skipped":
                reasons[key] = str(report.longrepr[-1])
    for mode in sorted({mode for mode, _ in outcomes}):
        counts = []
        for is_operator, what in ((False, "models"), (True, "operator models")):
            chosen = {m: o for (a, m), o in outcomes.items() if a == mode and m.startswith("ops-") == is_operator}
            good = sum(results == {"passed"} for results in chosen.values())
            counts.append(f"{good} of {len(chosen)} {what}")
        terminalreporter.write_line(f"{mode} arithmetic: {' and '.join(counts)} run and agree")
    for (mode, model), results in sorted(outcomes.items()):
        if results != {"passed"}:
            reason = reasons.get((mode, model), "differs, see above")
            terminalreporter.write_line(f"  {model} ({mode}): {reason[:240]}")
