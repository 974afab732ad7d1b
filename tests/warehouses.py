"""The targets that the tap is tested with: how to load into each, and how to read what it holds."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandbox import postgres
from sandbox.check import received_rows
from sandbox.demo import SCHEMA, warehouse_rows
from tests.support import ROOT, TAP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.check import Rows
    from sandbox.postgres import Database

PROJECT = yaml.safe_load((ROOT / "meltano.yml").read_text())
LOADERS = {loader["name"]: loader for loader in PROJECT["plugins"]["loaders"]}
RECIPES = (ROOT / "docs/recipes.md").read_text()
(DUCKDB_RECIPE,) = re.findall(r"```yaml\n(  - name: target-duckdb\n.*?)```", RECIPES, re.DOTALL)
(DUCKDB,) = yaml.safe_load(DUCKDB_RECIPE)

# In the loader's environment: nothing else needs DuckDB.
READ_DUCKDB = """\
import duckdb, json, sys
result = duckdb.connect(sys.argv[1], read_only=True).execute(sys.argv[2])
names = [column[0] for column in result.description]
print(json.dumps([dict(zip(names, row)) for row in result.fetchall()], default=str))
"""


def program(loader: str, name: str | None = None) -> Path:
    """A program in a loader's environment, the loader itself if it is not named; skips the test without it."""
    path = ROOT / f".meltano/loaders/{loader}/venv/bin/{name or loader}"
    if not path.with_name(loader).exists():
        pytest.skip(f"{loader} is not installed: {'it needs duckdb<1.3' if 'duckdb' in loader else 'make sets it up'}")
    return path


def query_duckdb(path: Path, query: str) -> list[dict[str, Any]]:
    """The rows of a query on a database that target-duckdb has filled."""
    done = subprocess.run(  # noqa: S603
        [program("target-duckdb", "python"), "-c", READ_DUCKDB, path, query], check=True, capture_output=True
    )
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


@dataclass
class Warehouse:
    """A target: its name, its settings, and how to read a table of it."""

    target: str
    settings: dict[str, Any]
    rows: Callable[[str], Rows]

    def load(self, source: Path, state: Path | None = None) -> Path:
        """Run `tap-deepconverse | target`; gives a file with the state that the target confirms."""
        folder = source.parent
        settings = folder / f"{self.target}.json"
        settings.write_text(json.dumps(self.settings))
        arguments = [str(TAP), "--config", str(source), *(["--state", str(state)] if state else [])]
        with (
            tempfile.TemporaryFile("w+") as log,
            subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=log) as tap,  # noqa: S603
        ):
            loaded = subprocess.run(  # noqa: S603
                [program(self.target), "--config", settings],
                stdin=tap.stdout, capture_output=True, text=True, check=False, timeout=600,
            )  # fmt: skip
            assert tap.stdout is not None
            tap.stdout.close()  # so that the tap ends where the target has died
            tap.wait(600)
            log.seek(0)
            sys.stderr.write(log.read() + loaded.stderr)
            assert (tap.returncode, loaded.returncode) == (0, 0)
        confirmed = folder / "state.json"
        confirmed.write_text(loaded.stdout.splitlines()[-1])
        return confirmed


def defaults(loader: dict[str, Any]) -> dict[str, Any]:
    """The settings' values that `meltano.yml` (or a recipe) gives a loader."""
    return {setting["name"]: setting["value"] for setting in loader["settings"] if "value" in setting}


@pytest.fixture
def in_jsonl(tmp_path: Path) -> Warehouse:
    def rows(stream: str) -> Rows:
        lines = (tmp_path / f"{stream}.jsonl").read_text().splitlines()
        return received_rows(map(json.loads, lines), appended=True)

    settings = {**defaults(LOADERS["target-jsonl"]), "destination_path": str(tmp_path)}
    return Warehouse("target-jsonl", settings, rows)


@pytest.fixture
def in_csv(tmp_path: Path) -> Warehouse:
    """Each run writes files of its own, and a cell without anything is a null."""

    def rows(stream: str) -> Rows:
        found = []
        for path in sorted(tmp_path.glob(f"{stream}-*.csv")):
            with path.open(newline="") as file:
                found += [{name: cell or None for name, cell in row.items()} for row in csv.DictReader(file)]
        return received_rows(found, appended=True)

    settings = {**defaults(LOADERS["target-csv"]), "output_path": str(tmp_path)}
    return Warehouse("target-csv", settings, rows)


@pytest.fixture
def in_duckdb(tmp_path: Path) -> Warehouse:
    path = tmp_path / "warehouse.duckdb"
    program("target-duckdb")

    def rows(stream: str) -> Rows:
        return received_rows(query_duckdb(path, f"SELECT * FROM {SCHEMA}.{stream}"))  # noqa: S608

    return Warehouse("target-duckdb", {**defaults(DUCKDB), "filepath": str(path)}, rows)


@pytest.fixture(scope="session")
def new_databases() -> Iterator[Iterator[Database]]:
    """Empty databases on a server that all tests of a process share."""
    if not postgres.is_installed():
        pytest.skip(postgres.NOT_INSTALLED)
    with tempfile.TemporaryDirectory() as folder, postgres.server(Path(folder, "data")) as server:
        yield (server.new(f"test_{number}") for number in count())


@pytest.fixture
def database(new_databases: Iterator[Database]) -> Database:
    return next(new_databases)


@pytest.fixture
def in_postgres(database: Database) -> Warehouse:
    settings = {**defaults(LOADERS["target-postgres"]), "sqlalchemy_url": database.sqlalchemy_url}
    return Warehouse("target-postgres", settings, lambda stream: warehouse_rows(database, stream))
