"""Prints how many of the shared models run and agree with LiteRT, and what the others lack."""


def pytest_terminal_summary(terminalreporter):
    import test_goldens

    for line in test_goldens.summary():
        terminalreporter.write_line(line)
