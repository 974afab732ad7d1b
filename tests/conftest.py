import json
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from sandbox.archive import DAY, Archive
from sandbox.server import Behaviour, Sandbox
from tests.leaks import leaks
from tests.warehouses import database, in_csv, in_duckdb, in_jsonl, in_postgres, new_databases, output_folder

__all__ = ["database", "in_csv", "in_duckdb", "in_jsonl", "in_postgres", "new_databases", "output_folder"]

# No test depends on how fast the machine is; `fuzz` tries more than these few.
settings.register_profile("any machine", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

LOGS = {"log", "stderr"}

SLOWEST = ["test_recipes_postgres.py", "test_dbt.py", "test_end_to_end.py", "test_reports.py", "test_plan.py"]
SLOWEST += ["test_incremental.py", "test_masks.py", "test_release.py", "test_recipes.py"]

NOW = 1_790_000_000_000
"""A moment in the year 2026, in Unix milliseconds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the slowest begin, so that no worker ends long after the others."""
    order = {name: place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail whatever test has logged a key, or what a customer has said."""
    report = yield
    said = "".join(text for name, text in report.sections if LOGS & {*name.split()})
    if found := leaks(said):
        report.outcome = "failed"
        report.longrepr = f"The log holds what must not be logged: {sorted(found)}"
    return report


Serve = Callable[..., tuple[Sandbox, str]]
"""Serve an archive under a behaviour; gives the sandbox and its URL."""

WriteJson = Callable[..., Path]
"""Write a JSON file; gives its path."""


@pytest.fixture(autouse=True)
def _refuse_the_unexpected(request: pytest.FixtureRequest) -> None:
    """Let a server of the tests answer what it does not expect with an error that is not retried for minutes."""
    if "httpserver" in request.fixturenames:
        request.getfixturevalue("httpserver").no_handler_status_code = 404


@pytest.fixture
def archive() -> Archive:
    """A bot with fifty conversations in the last ten days."""
    archive = Archive(seed=7)
    archive.add_bot("bot", 50, NOW - 10 * DAY, NOW)
    return archive


@pytest.fixture
def serve(archive: Archive) -> Iterator[Serve]:
    default = archive
    with ExitStack() as running:

        def start(archive: Archive | None = None, **behaviour: Any) -> tuple[Sandbox, str]:
            sandbox = Sandbox(archive or default, Behaviour(**{"requests_per_second": 0, **behaviour}))
            return sandbox, running.enter_context(sandbox.running())

        yield start


@pytest.fixture
def write_json(tmp_path: Path) -> WriteJson:
    def write(value: Any, name: str = "config.json") -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(value))
        return path

    return write
