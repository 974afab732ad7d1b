"""The dbt models hold what the archive says, in PostgreSQL and in DuckDB, and their tests fail when they do not."""

import json
import re
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import models
from sandbox.archive import Archive, Record
from sandbox.contract import STREAMS
from sandbox.demo import SCHEMA
from sandbox.postgres import Database
from tests.conftest import Serve, WriteJson
from tests.models import PARAMETERS, Expected, go_on, inside, odd_archive
from tests.support import ROOT, config_for, sync
from tests.warehouses import Warehouse, program, query_duckdb

MARTS = {
    "conversations": "conversation_id",
    "messages": "message_id",
    "daily_metrics": "day, bot_name, locale, channel",
    "daily_totals": "day",
}
WARNINGS = {
    "not_null_stg_deepconverse__conversations_started_at",
    "relationships_stg_deepconverse__messages_conversation_id__conversation_id__ref_stg_deepconverse__conversations_",
}
"""What the odd records of the archive make dbt warn of."""


@pytest.fixture
def archive() -> Archive:
    return odd_archive()


def built(done: subprocess.CompletedProcess[str], folder: Path, status: int = 0) -> dict[str, set[str]]:
    """The names of what dbt has built and tested, by what became of it."""
    assert done.returncode == status, done.stdout + done.stderr
    assert "eprecat" not in done.stdout
    found: dict[str, set[str]] = {}
    for result in json.loads((folder / "run_results.json").read_text())["results"]:
        found.setdefault(result["status"], set()).add(result["unique_id"].split(".")[2])
    return found


def compare(expected: Expected, marts: dict[str, list[Record]]) -> None:
    for name, key in MARTS.items():
        rows: list[Record] = getattr(expected, name)
        keys = key.split(", ")
        order = {tuple(row[part] for part in keys): row for row in rows}
        received = [
            {column: plain(column, value) for column, value in row.items() if column in rows[0]} for row in marts[name]
        ]
        assert len(received) == len(rows) == len(order) > 5
        for row in received:
            assert row == order[tuple(row[part] for part in keys)]


def plain(column: str, value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if column == "day":
        return str(value)
    if column == "tags" and isinstance(value, str):
        return json.loads(value)
    return datetime.fromisoformat(value) if column.endswith("_at") and isinstance(value, str) else value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if not models.is_installed():
        pytest.skip(models.NOT_INSTALLED)
    (tmp_path / "dbt").mkdir()
    return tmp_path / "dbt"


def test_in_postgres(
    serve: Serve, database: Database, in_postgres: Warehouse, write_json: WriteJson, folder: Path
) -> None:
    """With the defaults, from tables that the real loader has only appended to."""
    sandbox, url = serve(times="milliseconds")
    keyless: Record = {stream: {"__key_properties__": []} for stream in STREAMS}
    config = config_for(url, "bot", "other", start_date="2026-09-01", stream_maps=keyless)
    first = sync(config)
    go_on(sandbox.archive)
    second = sync(config)
    now = second.newest("conversations")
    stale = [
        message
        for message in first.messages
        if message.get("stream") == "conversations" and message.get("record") not in now.values()
    ]
    assert len(stale) > 1
    lines = map(json.dumps, first.messages + second.messages + stale)  # the newest need not come last
    subprocess.run(  # noqa: S603
        [program("target-postgres"), "--config", write_json(in_postgres.settings)],
        input="\n".join(lines),
        text=True,
        capture_output=True,
        check=True,
    )
    (copies,) = database.execute(f"SELECT count(*) - count(DISTINCT _id) AS n FROM {SCHEMA}.messages")  # noqa: S608
    assert copies["n"] > 500

    results = built(models.run_dbt(models.in_postgres(database), folder, "build"), folder)
    assert results.keys() == {"success", "pass", "warn"}
    assert results["warn"] == WARNINGS
    tables = {name: database.execute(f"SELECT * FROM analytics.{name}") for name in described()}  # noqa: S608
    assert {name: {*rows[0]} for name, rows in tables.items()} == described()
    expected = Expected(sandbox)
    compare(expected, {mart: tables[f"deepconverse__{mart}"] for mart in MARTS})
    for row in tables["stg_deepconverse__conversations"]:
        metadata = expected.sources["conversations"][row["conversation_id"]]["metadata"]
        assert row["metadata"] == (metadata if isinstance(metadata, dict | None) else {"value": metadata})
        assert {column: row[column] for column in PARAMETERS} == {
            column: inside(metadata, path) for column, path in PARAMETERS.items()
        }


def described() -> dict[str, set[str]]:
    """Of each model the columns that have a description."""
    files = [
        yaml.safe_load((ROOT / f"dbt/models/{name}.yml").read_text()) for name in ("staging/staging", "marts/marts")
    ]
    return {
        model["name"]: {column["name"] for column in model["columns"] if column["description"]}
        for file in files
        for model in file["models"]
        if model["description"]
    }


DOCTORED = {
    "UPDATE deepconverse__conversations SET customer_messages = messages + 1": {
        "at_most_deepconverse__conversations_customer_messages__messages"
    },
    "UPDATE deepconverse__daily_metrics SET self_service_rate = 1.01": {
        "accepted_range_deepconverse__daily_metrics_self_service_rate__1__0"
    },
    "DELETE FROM deepconverse__daily_metrics WHERE locale = 'de_de'": {"daily_metrics_hold_every_conversation"},
    "DELETE FROM deepconverse__daily_totals WHERE day = (SELECT max(day) FROM deepconverse__daily_totals)": {
        "daily_metrics_hold_every_conversation"
    },
    "UPDATE deepconverse__messages SET message_number = 1": {
        "unique_together_deepconverse__messages_conversation_id__message_number"
    },
    "INSERT INTO stg_deepconverse__conversations SELECT * FROM stg_deepconverse__conversations LIMIT 1": {
        "unique_stg_deepconverse__conversations_conversation_id"
    },
    "UPDATE stg_deepconverse__messages SET message_id = NULL WHERE conversation_id IS NULL": {
        "not_null_stg_deepconverse__messages_message_id",
        "relationships_deepconverse__messages_message_id__message_id__ref_stg_deepconverse__messages_",
    },
}
"""Statements that make the models wrong, and the dbt tests that find it."""


def test_in_duckdb(serve: Serve, in_duckdb: Warehouse, write_json: WriteJson, folder: Path) -> None:
    """With other variables; a missing table is said, and dbt's tests find what is wrong."""
    sandbox, url = serve(times="seconds")
    variables: dict[str, Any] = {
        "deepconverse_resolved_tags": ["resolved", 'it\'s "done"'],
        "deepconverse_agent_message_types": ["AgentMessage"],
        "deepconverse_ignored_message_types": ["SystemEvent"],
        "deepconverse_customer_parameters": ["browser_userHash", "browser_userMeta.email"],
        "deepconverse_metadata_columns": {"cart_value": "cartValue", "plan": "browser_userMeta.plan"},
        "deepconverse_include_drafts": True,
    }
    path = Path(in_duckdb.settings["filepath"])
    output = models.in_duckdb(path)
    query_duckdb(path, "SELECT 1")  # which makes it, in the version that the loader can read
    done = models.run_dbt(output, folder, "run", "--select", "stg_deepconverse__messages", **variables)
    assert done.returncode == 1
    assert "There is no table" in done.stdout
    assert "deepconverse_schema" in done.stdout

    config = write_json(config_for(url, "bot", "other", start_date="2026-09-01"))
    in_duckdb.load(config)
    go_on(sandbox.archive)
    in_duckdb.load(config)
    results = built(models.run_dbt(output, folder, "build", **variables), folder)
    assert results["warn"] == WARNINGS
    compare(
        Expected(sandbox, **variables),
        {mart: query_duckdb(path, f"SELECT * FROM {models.SCHEMA}.deepconverse__{mart}") for mart in MARTS},  # noqa: S608
    )

    query_duckdb(path, f"USE {models.SCHEMA}", *DOCTORED, "SELECT 1")
    results = built(models.run_dbt(output, folder, "test", **variables), folder, status=1)
    assert results["fail"] == set().union(*DOCTORED.values())


def test_the_readme_has_every_variable_as_it_is() -> None:
    variables = yaml.safe_load((ROOT / "dbt/dbt_project.yml").read_text())["vars"]["deepconverse"]
    readme = (ROOT / "dbt/README.md").read_text()
    rows = re.findall(r"^\| `(deepconverse_[a-z]\w+)` \| (.*?) \| ", readme, re.MULTILINE)
    table = {name: yaml.safe_load(default.strip("`")) for name, default in rows}
    assert table == {"deepconverse_database": "the profile's", **variables}
