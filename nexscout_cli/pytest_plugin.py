"""A pytest plugin: a suite that would spend more than a budget on models fails. ``pytest --nexscout-budget 0.50``"""

from __future__ import annotations

from typing import Any

import pytest

_KEY = pytest.StashKey[Any]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--nexscout-budget``, and the same in the configuration."""
    group = parser.getgroup("nexscout")
    text = (
        "dollars that the suite may spend through nexscout in all; a call beyond them is refused, and the suite fails"
    )
    group.addoption("--nexscout-budget", metavar="DOLLARS", default=None, help=text)
    parser.addini("nexscout_budget", text, default="")


def pytest_configure(config: pytest.Config) -> None:
    """Give the process a purse; workers of xdist share the one of the process that started them."""
    asked = config.getoption("--nexscout-budget") or config.getini("nexscout_budget")
    if not asked:
        return
    from nexscout_cli.engine import purse
    from nexscout_cli.engine.money import to_nano

    try:
        found = purse.Purse(to_nano(asked), "pytest")
    except ValueError as error:
        raise pytest.UsageError(f"--nexscout-budget: {error}") from None
    given = getattr(config, "workerinput", {}).get("nexscout")
    found.name = given or found.name
    config.stash[_KEY] = found
    purse.for_the_process(found)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist which purse it draws on."""
    found = node.config.stash.get(_KEY, None)
    if found is not None:
        node.workerinput["nexscout"] = found.name


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Hear what a worker has spent."""
    found, told = node.config.stash.get(_KEY, None), getattr(node, "workeroutput", {}).get("nexscout")
    if found is not None and told:
        found.paid += told[0]
        found.refused += told[1]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a suite that went beyond its budget, or would have."""
    found = session.config.stash.get(_KEY, None)
    if found is None:
        return
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["nexscout"] = (found.paid, found.refused)
    elif (found.refused or found.paid > found.cost) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was spent."""
    found = config.stash.get(_KEY, None)
    if found is None:
        return
    from nexscout_cli.engine.money import dollars

    line = f"nexscout: ${dollars(found.paid)} of ${dollars(found.cost)} spent"
    if found.refused or found.paid > found.cost:
        line = f"{line}; {found.refused} calls would have passed the budget and were refused"
        terminalreporter.write_line(line, red=True)
    else:
        terminalreporter.write_line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take the purse away."""
    if _KEY in config.stash:
        from nexscout_cli.engine import purse

        purse.for_the_process(None)
