"""Builds the dbt models over a warehouse, with the dbt that make has set up in `dbt/.venv`."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from sandbox.postgres import Database

PACKAGE = Path(__file__).parent.parent / "dbt"
DBT = PACKAGE / ".venv" / ("Scripts" if os.name == "nt" else "bin") / "dbt"
SCHEMA = "analytics"
NOT_INSTALLED = (
    "dbt is not installed: dbt-core 1.11 does not start under Python 3.14 (try make demo DBT_PYTHON=python3.13)"
    if sys.version_info >= (3, 14)
    else "dbt is not installed: make sets it up in dbt/.venv"
)


def is_installed() -> bool:
    """Whether the models can be built here."""
    return DBT.exists()


def in_postgres(database: Database) -> dict[str, Any]:
    """Describe a PostgreSQL database to dbt."""
    place = conninfo_to_dict(database.uri)
    return {
        "type": "postgres",
        "host": place["host"],
        "port": int(place.get("port") or 5432),
        "user": place["user"],
        "password": place.get("password") or "",
        "dbname": place["dbname"],
        "schema": SCHEMA,
        "threads": 4,
    }


def in_duckdb(path: Path) -> dict[str, Any]:
    """Describe a DuckDB database to dbt."""
    return {"type": "duckdb", "path": str(path), "schema": SCHEMA, "threads": 1}


def run_dbt(
    output: Mapping[str, Any], folder: Path, *arguments: str, **variables: Any
) -> subprocess.CompletedProcess[str]:
    """Run dbt on the package, and wait for it."""
    profiles = {"deepconverse": {"target": "sandbox", "outputs": {"sandbox": dict(output)}}}
    (folder / "profiles.yml").write_text(json.dumps(profiles))  # JSON is YAML too
    places = {"--project-dir": PACKAGE, "--profiles-dir": folder, "--target-path": folder, "--log-path": folder}
    options = [str(word) for pair in places.items() for word in pair]
    command = [str(DBT), "--no-use-colors", *arguments, *options, "--vars", json.dumps(variables)]
    environment = {**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603


def counts(folder: Path) -> tuple[int, int]:
    """Count what a build has done."""
    statuses = [result["status"] for result in json.loads((folder / "run_results.json").read_text())["results"]]
    return statuses.count("success"), statuses.count("pass")
