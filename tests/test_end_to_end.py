"""The whole way: the real command line and the real Meltano, into real targets."""

import hashlib
import json
import re
import time
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.archive import DAY, Archive
from sandbox.contract import STREAMS
from tests.conftest import Serve, WriteJson
from tests.leaks import leaks
from tests.recipes import new_project
from tests.support import ROOT, config_for, sync
from tests.warehouses import DUCKDB, UNDOCUMENTED, Warehouse, program

START = f"{datetime.now(UTC) - timedelta(days=40):%Y-%m-%d}"
BOTS = ("bot", "other")
RUN = "meltano run tap-deepconverse target-postgres"


@pytest.fixture
def archive() -> Archive:
    """Two bots that have talked until a minute ago."""
    now = int(time.time() - 60) * 1000
    archive = Archive(seed=3)
    for bot_name in BOTS:
        archive.add_bot(bot_name, 150, now - 30 * DAY, now)
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


@pytest.mark.parametrize(
    ("warehouse", "times"),
    [("in_jsonl", "fraction"), ("in_csv", "iso"), ("in_duckdb", "seconds"), ("in_postgres", "milliseconds")],
)
def test_what_a_target_holds_is_what_the_source_holds_after_each_run(
    serve: Serve, write_json: WriteJson, request: pytest.FixtureRequest, warehouse: str, times: str
) -> None:
    into: Warehouse = request.getfixturevalue(warehouse)
    sandbox, url = serve(times=times)
    make_odd(sandbox.archive, "\0")
    source = write_json(config_for(url, *BOTS, page_size=100, start_date=START))
    state = into.load(source)
    if warehouse == "in_postgres":  # which cannot store NUL
        make_odd(sandbox.archive, "\ufffd")
    assert into.wrong_rows(sandbox) == []
    full = len(sandbox.requests)
    first = into.rows("conversations")

    goes_on = max(sandbox.archive.conversations["bot"].values(), key=lambda each: each["lastActionAt"])
    sandbox.archive.live(sandbox.archive.lived_until + 20_000)
    sandbox.archive.say("bot", goes_on, sandbox.archive.lived_until, {"type": "UserInput", "userInput": "Thanks"})
    into.load(source, state)
    assert into.wrong_rows(sandbox) == []
    second = into.rows("conversations")
    assert len(second) > len(first)
    assert any(second[key] != row for key, row in first.items())
    assert len(sandbox.requests) - full < full


def test_what_meltano_selects_and_declares_is_what_leaves(
    serve: Serve, archive: Archive, in_postgres: Warehouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, url = serve()
    for conversation in archive.conversations["bot"].values():
        conversation |= {"csat": "4", "channel": "web"}
    columns = {"csat": {"type": ["integer", "null"]}, "metadata": {"type": ["string", "null"]}}
    extras = {
        "TAP_DEEPCONVERSE__SELECT": '["conversations._id", "conversations.csat", "conversations.metadata"]',
        "TAP_DEEPCONVERSE__SCHEMA": json.dumps({"conversations": columns}),
    }
    project = new_project(tmp_path / "project", url, ["bot"], **extras, **place_of(in_postgres))
    assert project.run(RUN)[0] == 0
    log = capsys.readouterr().err
    assert "Beginning sync of 'conversations'" in log
    assert not [line for line in log.splitlines() if "METRIC" in line and "target-postgres" not in line]
    rows = in_postgres.rows("conversations")
    assert rows.keys() == archive.conversations["bot"].keys()
    for row in rows.values():
        names = {name for name in row if not name.startswith("_sdc")}
        assert names == {"_id", "lastactionat", "csat", "metadata"}
        assert row["csat"] == 4
        assert row["metadata"]["__sys_channel"] == "web"


def place_of(warehouse: Warehouse) -> dict[str, str]:
    """The setting that tells the loader where to load to, as a variable; all else is as `meltano.yml` has it."""
    program(warehouse.target)
    return {"TARGET_POSTGRES_SQLALCHEMY_URL": warehouse.settings["sqlalchemy_url"]}


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
    project = new_project(tmp_path / "project", url, ["bot"], **salt, **place_of(in_postgres))
    project.declare("extractor", recipe)
    assert project.run(RUN)[0] == 0
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
