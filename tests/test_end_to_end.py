"""The whole way: the real command line and the real Meltano, into real targets."""

import hashlib
import json
import re
import time
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.archive import DAY, Archive
from sandbox.contract import STREAMS
from sandbox.postgres import Database
from tests.conftest import Serve, WriteJson
from tests.leaks import leaks
from tests.recipes import START, new_project, states
from tests.soak import Soak
from tests.support import ROOT, config_for, sync
from tests.warehouses import DUCKDB, UNDOCUMENTED, Warehouse

BOTS = ("bot", "other")
RECIPES = {
    "JSONL": ("in_jsonl", "fraction"),
    "CSV": ("in_csv", "iso"),
    "DuckDB": ("in_duckdb", "seconds"),
    "PostgreSQL": ("in_postgres", "milliseconds"),
}
"""By the name of a recipe, the fixture of its target, and how the API writes times for it."""


@pytest.fixture
def archive() -> Archive:
    """Two bots that have talked until a minute ago."""
    now = int(time.time() - 60) * 1000
    archive = Archive(seed=3)
    for bot_name in BOTS:
        archive.add_bot(bot_name, 60, now - 30 * DAY, now)
    return archive


def make_odd(archive: Archive, nul: str) -> None:
    """Give the records whatever `outMsg`, `userInput` and `metadata` may turn out to be."""
    odd = {
        "text": "\x1b[31m\r\n\t \u2028 \x7f 😀 ﷽",
        "": "no name",
        "number": int("7" * 100),
        "fraction": 0.1234567890123456,
        "deep": json.loads("[" * 200 + "]" * 200),
        "many": {str(number): number for number in range(2_000)},
        "nul": f"a{nul}b",
    }
    shapes: list[Any] = [{"text": 'a "quoted"\ntext, with more'}, ["a", {"b": None}], "plain, text\n", None, "(no json"]
    for message, shape in zip(archive.messages["bot"].values(), cycle(shapes), strict=False):
        message |= {"outMsg": shape, "userInput": shape}
    for conversation, shape in zip(archive.conversations["bot"].values(), cycle(shapes), strict=False):
        conversation |= {"metadata": shape, UNDOCUMENTED: {"stars": 5}}
    next(iter(archive.conversations["bot"].values())).update(metadata=odd, tags=[f"a{nul}b"])


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_a_target_holds_is_what_the_source_holds_after_each_run(
    serve: Serve, write_json: WriteJson, tmp_path: Path, request: pytest.FixtureRequest, recipe: str
) -> None:
    """The first run is the recipe's, the second goes on from the state that Meltano has kept of it."""
    fixture, times = RECIPES[recipe]
    into: Warehouse = request.getfixturevalue(fixture)
    sandbox, url = serve(times=times)
    make_odd(sandbox.archive, "\0")
    project = new_project(tmp_path, url, *BOTS, TAP_DEEPCONVERSE_PAGE_SIZE="100", **into.variables)
    project.follow(f"Load into {recipe}")
    if recipe == "PostgreSQL":  # which cannot store NUL
        make_odd(sandbox.archive, "\ufffd")
    assert into.wrong_rows(sandbox) == []
    full = len(sandbox.requests)
    first = into.rows("conversations")

    goes_on = max(sandbox.archive.conversations["bot"].values(), key=lambda each: each["lastActionAt"])
    sandbox.archive.live(sandbox.archive.lived_until + 20_000)
    sandbox.archive.say("bot", goes_on, sandbox.archive.lived_until, {"type": "UserInput", "userInput": "Thanks"})
    if recipe == "CSV":
        project.variables["TARGET_CSV_FLATTENING_ENABLED"] = "false"
        project.follow("Load into what cannot hold objects")
    else:
        (state,) = states(project).values()
        into.load(write_json(config_for(url, *BOTS, page_size=100, start_date=START)), write_json(state, "state.json"))
    assert into.wrong_rows(sandbox) == []
    second = into.rows("conversations")
    assert len(second) > len(first)
    assert any(second[key] != row for key, row in first.items())
    assert len(sandbox.requests) - full < full


def test_duckdb_is_set_up_as_the_recipe_has_it() -> None:
    lines = (ROOT / "sandbox/duckdb.txt").read_text().splitlines()
    assert DUCKDB["pip_url"] == " ".join(line.split(";")[0] for line in lines if not line.startswith("#"))


def test_the_masking_of_the_docs_as_it_is_written(
    serve: Serve, archive: Archive, in_postgres: Warehouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the log level holds through Meltano."""
    _, url = serve()
    (recipe,) = re.findall(r"```yaml\n(    config: .*?)```", (ROOT / "docs/privacy.md").read_text(), re.DOTALL)
    without_metadata, without_email, *others = archive.conversations["bot"].values()
    without_metadata["metadata"] = None
    del without_email["metadata"]["browser_userMeta"]["email"]
    for conversation in others:
        conversation["undocumented"] = conversation["metadata"]["browser_userMeta"]["email"]
    for message in archive.messages["bot"].values():
        message["undocumented"] = "customer1@example.com"
    salt = {"TAP_DEEPCONVERSE_STREAM_MAP_CONFIG": '{"salt": "pepper"}', "TAP_DEEPCONVERSE_LOGLEVEL": "WARNING"}
    project = new_project(tmp_path, url, "bot", **salt, **in_postgres.variables)
    project.declare("extractor", recipe)
    project.follow("Load into PostgreSQL")
    assert "Beginning sync" not in capsys.readouterr().err
    without_meltano = yaml.safe_load(recipe)["config"]
    output = sync(config_for(url, "bot", stream_map_config={"salt": "pepper"}, **without_meltano))
    assert output.records("messages")
    assert leaks(json.dumps(output.messages)) == set()

    rows = {stream: in_postgres.rows(stream) for stream in STREAMS}
    columns = {stream: {name for row in rows[stream].values() for name in row} for stream in STREAMS}
    assert {name for name in columns["conversations"] if not name.startswith("_sdc")} == {
        "_id", "bot_name", "starttime", "lastactionat", "tags", "device", "customer",
    }  # fmt: skip
    assert {name for name in columns["messages"] if not name.startswith("_sdc")} == {
        "_id", "bot_name", "conversationid", "time", "type", "useractiontype",
    }  # fmt: skip
    conversations = rows["conversations"]
    assert conversations.keys() == archive.conversations["bot"].keys()
    for conversation in others:
        metadata = conversation["metadata"]
        email = metadata["browser_userMeta"]["email"]
        row = conversations[conversation["_id"]]
        assert row["customer"] == hashlib.sha256(f"pepper{email}".encode()).hexdigest()
        assert row["device"] == metadata["__sys_userAgentParsed"]["device"]["family"]
        assert row["tags"] == conversation["tags"]
    assert conversations[without_metadata["_id"]]["customer"] is conversations[without_email["_id"]]["customer"] is None
    assert rows["messages"].keys() == archive.messages["bot"].keys()
    assert leaks(json.dumps(rows, default=str)) == set()


@pytest.mark.parametrize("written", ["2025-13-01", "03/04/2025"])
def test_meltano_hands_over_a_date_as_it_is_written(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str], written: str
) -> None:
    _, url = serve()
    project = new_project(tmp_path, url, "bot", TAP_DEEPCONVERSE_START_DATE=written)
    assert project.run("meltano invoke tap-deepconverse")[0] != 0
    assert "`start_date` must be a date from 1970 on, in ISO 8601" in capsys.readouterr().err


def test_a_short_soak_leaves_source_and_target_equal(tmp_path: Path, database: Database) -> None:
    """What `make soak` does for half an hour."""
    soak = Soak(1, tmp_path, database, {"busy": 80, "small": 20, "single": 1, "silent": 0})
    soak.run(seconds=2)
    assert soak.wrong == []
    assert soak.syncs["complete"]
    assert soak.faults.broken
