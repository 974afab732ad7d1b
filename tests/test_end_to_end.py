"""The whole way: the real command line and the real Meltano, into real targets."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import yaml

from sandbox.archive import DAY, Archive
from sandbox.check import differences, expected_rows
from sandbox.contract import KEY, STREAMS
from tests.leaks import leaks
from tests.support import ROOT, config_for, sync
from tests.warehouses import DUCKDB, Warehouse, program

if TYPE_CHECKING:
    from tests.conftest import Serve, WriteJson

NONE: dict[str, list[str]] = {stream: [] for stream in STREAMS}
START = f"{datetime.now(UTC) - timedelta(days=40):%Y-%m-%d}"
OF_THE_EXTRACTOR = "    settings_group_validation:"
BOTS = ("bot", "other")


@pytest.fixture
def archive() -> Archive:
    """Two bots that have talked until a minute ago."""
    now = int(time.time() - 60) * 1000
    archive = Archive(seed=3)
    for bot_name in BOTS:
        archive.add_bot(bot_name, 150, now - 30 * DAY, now)
    return archive


@pytest.mark.parametrize(
    ("warehouse", "times"),
    [("in_jsonl", "fraction"), ("in_csv", "iso"), ("in_duckdb", "seconds"), ("in_postgres", "milliseconds")],
)
def test_what_a_target_holds_is_what_the_source_holds_after_each_run(
    serve: Serve, write_json: WriteJson, request: pytest.FixtureRequest, warehouse: str, times: str
) -> None:
    into: Warehouse = request.getfixturevalue(warehouse)
    sandbox, url = serve(times=times)
    source = write_json(config_for(url, *BOTS, page_size=100, start_date=START))
    state = into.load(source)
    first = {stream: into.rows(stream) for stream in STREAMS}
    assert {stream: differences(expected_rows(sandbox, stream), first[stream]) for stream in STREAMS} == NONE
    full = len(sandbox.requests)

    sandbox.archive.live(sandbox.archive.lived_until + 20_000)
    into.load(source, state)
    second = {stream: into.rows(stream) for stream in STREAMS}
    assert {stream: differences(expected_rows(sandbox, stream), second[stream]) for stream in STREAMS} == NONE
    assert all(len(second[stream]) > len(first[stream]) for stream in STREAMS)
    assert any(second["conversations"][key] != row for key, row in first["conversations"].items())
    assert len(sandbox.requests) - full < full


@pytest.mark.parametrize("warehouse", ["in_jsonl", "in_csv", "in_duckdb", "in_postgres"])
def test_what_is_odd_and_what_is_undocumented_loads(
    serve: Serve, archive: Archive, write_json: WriteJson, request: pytest.FixtureRequest, warehouse: str
) -> None:
    """Whatever `outMsg`, `userInput` and `metadata` turn out to be loads; what a target can hold arrives as it is."""
    into: Warehouse = request.getfixturevalue(warehouse)
    _, url = serve()
    nul = "\ufffd" if warehouse == "in_postgres" else "\0"
    odd = {
        "text": "\x1b[31m\r\n\t \u2028 \x7f 😀 ﷽",
        "": "no name",
        "number": int("7" * 100),
        "fraction": 0.1234567890123456,
        "deep": json.loads("[" * 200 + "]" * 200),
        "many": {str(number): number for number in range(2_000)},
    }
    shapes: list[Any] = [{"text": 'a "quoted"\ntext, with more'}, ["a", {"b": None}], "plain, text\n", None, "(no json"]
    for message, shape in zip(archive.messages["bot"].values(), cycle(shapes), strict=False):
        message |= {"outMsg": shape, "userInput": shape}
    strange, *conversations = archive.conversations["bot"].values()
    strange |= {"metadata": {**odd, "nul": "a\0b"}, "tags": ["a\0b"], "rating": {"stars": 5}}
    for number, conversation in enumerate(conversations):
        conversation["rating"] = {"stars": 5}
        if number % 2:
            conversation["metadata"] = shapes[number % len(shapes)]
    into.load(write_json(config_for(url, "bot", start_date=START)))

    messages, rows = into.rows("messages"), into.rows("conversations")
    for key, message in archive.messages["bot"].items():
        assert messages[key]["outmsg"] == messages[key]["userinput"] == message["outMsg"]
    assert [row["additional_fields"] for row in rows.values()] == [{"rating": {"stars": 5}}] * 150
    row = rows.pop(strange["_id"])
    assert row["metadata"] == {**odd, "nul": f"a{nul}b"}
    assert row["tags"] == [f"a{nul}b"]
    for conversation in conversations:
        shape = conversation["metadata"]
        assert rows[conversation["_id"]]["metadata"] == (shape if isinstance(shape, dict | None) else {"value": shape})


class RunMeltano(Protocol):
    """Run `meltano run tap-deepconverse LOADER` over a source, in a project of its own."""

    def __call__(self, loader: str, url: str, *bot_names: str, config: str = "", **variables: str) -> None: ...


@pytest.fixture
def meltano(tmp_path: Path) -> RunMeltano:
    project = tmp_path / "project"
    (project / ".meltano").mkdir(parents=True)
    for plugins in ("extractors", "loaders"):
        (project / ".meltano" / plugins).symlink_to(ROOT / ".meltano" / plugins)
    definition = (ROOT / "meltano.yml").read_text()

    def run(loader: str, url: str, *bot_names: str, config: str = "", **variables: str) -> None:
        program(loader)
        before, after = definition.split(OF_THE_EXTRACTOR)
        (project / "meltano.yml").write_text(before + config + OF_THE_EXTRACTOR + after)
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "TAP_DEEPCONVERSE_API_KEY": KEY,
            "TAP_DEEPCONVERSE_API_URL": url,
            "TAP_DEEPCONVERSE_BOT_NAMES": json.dumps(bot_names),
            "TAP_DEEPCONVERSE_START_DATE": START,
            "TAP_DEEPCONVERSE_REQUESTS_PER_SECOND": "1000",
            **variables,
        }
        done = subprocess.run(  # noqa: S603
            ["meltano", "run", "--no-install", "tap-deepconverse", loader],  # noqa: S607
            env=environment, cwd=project, capture_output=True, text=True, check=False,
        )  # fmt: skip
        sys.stderr.write(done.stdout + done.stderr)
        assert done.returncode == 0

    return run


def test_what_meltano_selects_and_declares_is_what_leaves(
    serve: Serve, archive: Archive, in_postgres: Warehouse, meltano: RunMeltano, capsys: pytest.CaptureFixture[str]
) -> None:
    _, url = serve()
    for conversation in archive.conversations["bot"].values():
        conversation |= {"csat": "4", "channel": "web"}
    columns = {"csat": {"type": ["integer", "null"]}, "metadata": {"type": ["string", "null"]}}
    extras = {
        "TAP_DEEPCONVERSE__SELECT": '["conversations._id", "conversations.csat", "conversations.metadata"]',
        "TAP_DEEPCONVERSE__SCHEMA": json.dumps({"conversations": columns}),
    }
    meltano("target-postgres", url, "bot", **extras, **place_of(in_postgres))
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
    """The setting that tells a loader where to load to, as a variable; all else is as `meltano.yml` has it."""
    names = ("sqlalchemy_url", "filepath", "output_path", "destination_path")
    name = next(name for name in names if name in warehouse.settings)
    return {f"{warehouse.target.replace('-', '_').upper()}_{name.upper()}": warehouse.settings[name]}


def test_duckdb_is_set_up_as_the_recipe_has_it() -> None:
    lines = (ROOT / "sandbox/duckdb.txt").read_text().splitlines()
    assert DUCKDB["pip_url"] == " ".join(line.split(";")[0] for line in lines if not line.startswith("#"))


def test_the_masking_of_the_docs_as_it_is_written(
    serve: Serve, archive: Archive, in_postgres: Warehouse, meltano: RunMeltano, capsys: pytest.CaptureFixture[str]
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
    meltano("target-postgres", url, "bot", config=recipe, **salt, **place_of(in_postgres))
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
