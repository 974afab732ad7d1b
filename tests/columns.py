"""Reads what a loader has made of the columns: their names and types."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from sandbox.contract import STREAMS
from sandbox.demo import SCHEMA
from tests.warehouses import query_duckdb

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sandbox.postgres import Database


POSTGRES_CATALOGUE = f"""
SELECT attname AS name, format_type(atttypid, atttypmod) AS type, quote_ident(attname) AS quoted FROM pg_attribute
WHERE attrelid IN ({", ".join(f"'{SCHEMA}.{stream}'::regclass" for stream in STREAMS)}) AND attnum > 0
"""  # noqa: S608


def columns_in_postgres(database: Database) -> dict[str, str]:
    """By its name, each column as SQL has to write it, with its type."""
    return {row["name"]: f"`{row['quoted']}` {row['type']}" for row in database.execute(POSTGRES_CATALOGUE)}


def columns_in_duckdb(path: Path, names: Iterable[str]) -> dict[str, str]:
    """By the tap's name of it (or the loader's, if the tap has none), each column with its type."""
    found = query_duckdb(path, "SELECT column_name, data_type FROM information_schema.columns")
    original = {name.lower(): name for name in names}
    types = {row["column_name"]: row["data_type"] for row in found}
    return {original.get(name, name): f"`{name}` {kind}" for name, kind in types.items()}


def columns_in_jsonl(folder: Path) -> dict[str, str]:
    """Each column with the type of JSON that its values have."""
    lines = [line for stream in STREAMS for line in (folder / f"{stream}.jsonl").read_text().splitlines()]
    return _described([json.loads(line) for line in lines], {str: "text", list: "list", dict: "object"})


def columns_in_csv(folder: Path) -> dict[str, str]:
    """Each column, and whether what is in it is a list or an object of JSON."""
    rows: list[dict[str, Any]] = []
    for path in folder.glob("*.csv"):
        with path.open(newline="") as file:
            rows += [
                {name: json.loads(cell) if cell[:1] in {"[", "{"} else cell or None for name, cell in row.items()}
                for row in csv.DictReader(file)
            ]
    return _described(rows, {str: "text", list: "list as JSON", dict: "object as JSON"})


def _described(rows: list[dict[str, Any]], words: dict[type, str]) -> dict[str, str]:
    """Say of each column what its values are. Where some are text, the column is text."""
    kinds: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.items():
            kinds.setdefault(name, set()).update({words[type(value)]} if value is not None else set())
    return {name: f"`{name}` {max(found, key='text'.__eq__)}" for name, found in kinds.items()}
