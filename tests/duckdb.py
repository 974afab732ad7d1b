"""DuckDB, by the one that comes with dbt: this project has none of its own."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from sandbox import models

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sandbox.archive import Record

IN_DUCKDB = """\
import duckdb, json, sys
connection = duckdb.connect(sys.argv[1])
connection.execute("SET TimeZone = 'America/New_York'")
connection.execute("BEGIN")
for statement, rows in json.load(sys.stdin):
    result = connection.executemany(statement, rows) if rows else connection.execute(statement)
names = [column[0] for column in result.description]
print(json.dumps([dict(zip(names, row)) for row in result.fetchall()], default=str))
connection.execute("COMMIT")
"""


class DuckDB:
    """A DuckDB database, used by the DuckDB that dbt has."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def execute(self, *statements: tuple[str, Sequence[Sequence[Any]]] | str) -> list[Record]:
        """Run statements, some of them for rows of parameters; gives the rows of the last."""
        given = [(statement, []) if isinstance(statement, str) else statement for statement in statements]
        done = subprocess.run(  # noqa: S603
            [models.DBT.with_name("python"), "-c", IN_DUCKDB, self.path],
            input=json.dumps(given), text=True, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        rows: list[Record] = json.loads(done.stdout)
        return rows
