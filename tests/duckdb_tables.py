"""Tables in DuckDB as target-duckdb makes them, by the DuckDB that comes with dbt: this project has none of its own."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from sandbox import models
from sandbox.demo import SCHEMA

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

    def create(self, schemas: dict[str, Record], batches: list[tuple[str, dict[str, list[Record]]]]) -> None:
        """Load as target-duckdb does, without its key: names in lower case, JSON, times without a zone."""
        statements: list[tuple[str, Sequence[Sequence[Any]]] | str] = [f"CREATE SCHEMA {SCHEMA}"]
        for stream, schema in schemas.items():
            columns = {**{name: column_type(each) for name, each in schema.items()}, "_sdc_batched_at": "timestamp"}
            definition = ", ".join(f'"{name.lower()}" {kind}' for name, kind in columns.items())
            statements.append(f"CREATE TABLE {SCHEMA}.{stream} ({definition})")
            rows = [
                [json.dumps(value) if isinstance(value, dict | list) else value for value in map(record.get, columns)]
                for moment, records in batches
                for record in ({**record, "_sdc_batched_at": moment} for record in records[stream])
            ]
            statements.append((f"INSERT INTO {SCHEMA}.{stream} VALUES ({', '.join('?' * len(columns))})", rows))  # noqa: S608
        self.execute(*statements, "SELECT 1")


def column_type(schema: Record) -> str:
    if {"object", "array"} & {*schema["type"]}:
        return "json"
    return "timestamp" if schema.get("format") == "date-time" else "varchar"
