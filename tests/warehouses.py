"""The targets that the tap is tested with: how to load into each, and how to read what it holds."""

import csv
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import postgres
from sandbox.check import Rows, differences, expected_rows, received_rows
from sandbox.contract import STREAMS
from sandbox.demo import SCHEMA, warehouse_rows
from sandbox.postgres import Database
from sandbox.server import Sandbox
from tests.support import ROOT, finished, start

PROJECT = yaml.safe_load((ROOT / "meltano.yml").read_text())
LOADERS = {loader["name"]: loader for loader in PROJECT["plugins"]["loaders"]}
RECIPES = (ROOT / "docs/recipes.md").read_text()
(DUCKDB_RECIPE,) = re.findall(r"```yaml\n(  - name: target-duckdb\n.*?)```", RECIPES, re.DOTALL)
(DUCKDB,) = yaml.safe_load(DUCKDB_RECIPE)

# In the loader's environment: nothing else needs DuckDB.
IN_DUCKDB = """\
import duckdb, json, sys
connection = duckdb.connect(sys.argv[1])
connection.execute("SET TimeZone = 'America/New_York'")
for statement in sys.argv[2:]:
    result = connection.execute(statement)
names = [column[0] for column in result.description]
print(json.dumps([dict(zip(names, row)) for row in result.fetchall()], default=str))
"""
UNDOCUMENTED = "rating"
"""A field that no document names."""


def program(loader: str, name: str | None = None) -> Path:
    """A program in a loader's environment, the loader itself if it is not named; skips the test without it."""
    path = ROOT / f".meltano/loaders/{loader}/venv/bin/{name or loader}"
    if not path.with_name(loader).exists():
        pytest.skip(f"{loader} is not installed: {'it needs duckdb<1.3' if 'duckdb' in loader else 'make sets it up'}")
    return path


def query_duckdb(path: Path, *statements: str) -> list[dict[str, Any]]:
    """Run statements on a database that target-duckdb has filled; gives the rows of the last."""
    done = subprocess.run(  # noqa: S603
        [program("target-duckdb", "python"), "-c", IN_DUCKDB, path, *statements],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


@dataclass
class Warehouse:
    """A target: its name, its settings, how to read a table of it, and the variables that tell Meltano where it is."""

    target: str
    settings: dict[str, Any]
    rows: Callable[[str], Rows]
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        program(self.target)

    def load(self, source: Path, state: Path | None = None) -> None:
        """Run the tap, and load what it has written."""
        folder = source.parent
        settings, messages, log = folder / f"{self.target}.json", folder / "messages", folder / "log"
        settings.write_text(json.dumps(self.settings))
        arguments: list[str | Path] = ["--config", source]
        if state:
            arguments += ["--state", state]
        assert finished(start(arguments, messages, log)) == 0, log.read_text()
        with messages.open("rb") as stdin:
            loaded = subprocess.run(  # noqa: S603
                [program(self.target), "--config", settings],
                stdin=stdin, capture_output=True, text=True, check=False, timeout=600,
            )  # fmt: skip
        sys.stderr.write(log.read_text() + loaded.stderr)
        assert loaded.returncode == 0
        for path in (messages, log):
            path.unlink()

    def wrong_rows(self, sandbox: Sandbox) -> list[str]:
        """Where it differs from the source, with what is undocumented or no object where the tap puts it."""
        found = []
        for stream in STREAMS:
            expected = expected_rows(sandbox, stream)
            for row in expected.values():
                row["additional_fields"] = {UNDOCUMENTED: row.pop(UNDOCUMENTED)} if UNDOCUMENTED in row else None
                if not isinstance(row.get("metadata"), dict | None):
                    row["metadata"] = {"value": row["metadata"]}
            found += differences(expected, self.rows(stream))
        return found


def defaults(loader: dict[str, Any]) -> dict[str, Any]:
    """The settings' values that `meltano.yml` (or a recipe) gives a loader."""
    return {setting["name"]: setting["value"] for setting in loader["settings"] if "value" in setting}


@pytest.fixture
def output_folder(tmp_path: Path) -> Path:
    """Where the recipes of `docs/recipes.md` write files."""
    path = tmp_path / "output"
    path.mkdir()
    return path


@pytest.fixture
def in_jsonl(output_folder: Path) -> Warehouse:
    def rows(stream: str) -> Rows:
        lines = (output_folder / f"{stream}.jsonl").read_text().splitlines()
        return received_rows(map(json.loads, lines), appended=True)

    settings = {**defaults(LOADERS["target-jsonl"]), "destination_path": str(output_folder)}
    return Warehouse("target-jsonl", settings, rows)


@pytest.fixture
def in_csv(output_folder: Path) -> Warehouse:
    """Each run writes files of its own, and a cell without anything is a null."""

    def rows(stream: str) -> Rows:
        found = []
        for path in sorted(output_folder.glob(f"{stream}-*.csv")):
            with path.open(newline="") as file:
                found += [{name: cell or None for name, cell in row.items()} for row in csv.DictReader(file)]
        return received_rows(found, appended=True)

    settings = {**defaults(LOADERS["target-csv"]), "output_path": str(output_folder)}
    return Warehouse("target-csv", settings, rows)


@pytest.fixture
def in_duckdb(output_folder: Path) -> Warehouse:
    path = output_folder / "warehouse.duckdb"

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
    variables = {"TARGET_POSTGRES_SQLALCHEMY_URL": database.sqlalchemy_url, "DATABASE_URL": database.uri}
    return Warehouse("target-postgres", settings, lambda stream: warehouse_rows(database, stream), variables)
