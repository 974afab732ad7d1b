"""The whole way: the real command line and the real Meltano, into real targets."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import yaml

from sandbox.archive import DAY, Archive
from sandbox.check import Rows, differences, expected_rows, received_rows
from sandbox.demo import SCHEMA, warehouse_rows
from sandbox.server import KEY, Sandbox
from tests import postgres
from tests.leaks import leaks
from tests.support import ROOT, TAP, config_for, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Serve, WriteJson

STREAMS = ("conversations", "messages")
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


@dataclass
class Warehouse:
    """A target: its name, its settings, and how to read a table of it."""

    target: str
    settings: dict[str, Any]
    rows: Callable[[str], Rows]

    def load(self, source: Path, state: Path | None = None) -> Path:
        """Run `tap-deepconverse | target`; gives a file with the state that the target confirms."""
        folder = source.parent
        program = ROOT / f".meltano/loaders/{self.target}/venv/bin/{self.target}"
        settings = folder / f"{self.target}.json"
        settings.write_text(json.dumps(self.settings))
        arguments = [str(TAP), "--config", str(source), *(["--state", str(state)] if state else [])]
        with (
            tempfile.TemporaryFile("w+") as log,
            subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=log) as tap,  # noqa: S603
        ):
            loaded = subprocess.run(  # noqa: S603
                [program, "--config", settings],
                stdin=tap.stdout, capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
            tap.wait(10)
            log.seek(0)
            sys.stderr.write(log.read() + loaded.stderr)
            assert (tap.returncode, loaded.returncode) == (0, 0)
        confirmed = folder / "state.json"
        confirmed.write_text(loaded.stdout.splitlines()[-1])
        return confirmed


@pytest.fixture
def jsonl(tmp_path: Path) -> Warehouse:
    def rows(stream: str) -> Rows:
        lines = (tmp_path / f"{stream}.jsonl").read_text().splitlines()
        return received_rows(map(json.loads, lines), appended=True)

    return Warehouse("target-jsonl", {"destination_path": str(tmp_path), "do_timestamp_file": False}, rows)


@pytest.fixture
def in_duckdb(tmp_path: Path) -> Warehouse:
    path = tmp_path / "warehouse.duckdb"
    settings = {"filepath": str(path), "default_target_schema": SCHEMA}
    return Warehouse("target-duckdb", settings, lambda stream: warehouse_rows(path, stream))


@pytest.fixture
def in_postgres() -> Iterator[Warehouse]:
    if postgres.programs() is None:
        pytest.skip("PostgreSQL's server programs are not on this machine: apt-get install postgresql")
    with postgres.server() as server:

        def rows(stream: str) -> Rows:
            with postgres.connection(server) as connection:
                result = connection.execute(f"SELECT * FROM {SCHEMA}.{stream}".encode())  # noqa: S608
                names = [column.name for column in result.description or ()]
                return received_rows(dict(zip(names, row, strict=True)) for row in result.fetchall())

        settings = {**server, "default_target_schema": SCHEMA, "sanitize_null_text_characters": True}
        yield Warehouse("target-postgres", settings, rows)


def load_twice(served: tuple[Sandbox, str], warehouse: Warehouse, folder: Path) -> None:
    """Load, let the bots talk on, load again: each time the target holds just what the source holds."""
    sandbox, url = served
    source = folder / "tap.json"
    source.write_text(json.dumps(config_for(url, *BOTS, page_size=100)))

    state = warehouse.load(source)
    first = {stream: warehouse.rows(stream) for stream in STREAMS}
    for stream in STREAMS:
        assert differences(expected_rows(sandbox, stream), first[stream]) == []
    full = len(sandbox.requests)

    sandbox.archive.live(sandbox.archive.lived_until + 20_000)
    warehouse.load(source, state)
    second = {stream: warehouse.rows(stream) for stream in STREAMS}
    for stream in STREAMS:
        assert differences(expected_rows(sandbox, stream), second[stream]) == []
        assert len(second[stream]) > len(first[stream])
    assert any(second["conversations"][key] != row for key, row in first["conversations"].items())
    assert len(sandbox.requests) - full < full


def test_into_jsonl(serve: Serve, jsonl: Warehouse, tmp_path: Path) -> None:
    load_twice(serve(times="fraction"), jsonl, tmp_path)


@pytest.mark.parametrize("times", ["seconds", "iso"])
def test_into_duckdb(serve: Serve, in_duckdb: Warehouse, tmp_path: Path, times: str) -> None:
    load_twice(serve(times=times), in_duckdb, tmp_path)


def test_into_postgres(serve: Serve, in_postgres: Warehouse, tmp_path: Path) -> None:
    load_twice(serve(times="milliseconds"), in_postgres, tmp_path)


def test_undocumented_fields_into_jsonl(
    serve: Serve, archive: Archive, jsonl: Warehouse, write_json: WriteJson
) -> None:
    _, url = serve()
    for conversation in archive.conversations["bot"].values():
        conversation["rating"] = {"stars": 5}
    jsonl.load(write_json(config_for(url, "bot")))
    assert [row["rating"] for row in jsonl.rows("conversations").values()] == [{"stars": 5}] * 150


@pytest.mark.parametrize("warehouse", ["jsonl", "in_duckdb", "in_postgres"])
def test_odd_shapes_load(
    serve: Serve, archive: Archive, write_json: WriteJson, request: pytest.FixtureRequest, warehouse: str
) -> None:
    """What the documentation leaves open of `outMsg`, `userInput` and `metadata` loads, whatever it turns out to be."""
    into: Warehouse = request.getfixturevalue(warehouse)
    _, url = serve()
    shapes: list[Any] = [{"text": 'a "quoted"\ntext, with more'}, ["a", {"b": None}], "plain, text\n", None, "(no json"]
    for records, field in (
        (archive.messages, "outMsg"),
        (archive.messages, "userInput"),
        (archive.conversations, "metadata"),
    ):
        for record, shape in zip(records["bot"].values(), shapes * 1000, strict=False):
            record[field] = shape
    into.load(write_json(config_for(url, "bot")))

    messages = into.rows("messages")
    for key, message in archive.messages["bot"].items():
        assert messages[key]["outmsg"] == messages[key]["userinput"] == message["outMsg"]
    conversations = into.rows("conversations")
    for key, conversation in archive.conversations["bot"].items():
        shape = conversation["metadata"]
        assert conversations[key]["metadata"] == (shape if isinstance(shape, dict | None) else {"value": shape})


@pytest.mark.parametrize("warehouse", ["jsonl", "in_duckdb", "in_postgres"])
def test_odd_data_loads(
    serve: Serve, archive: Archive, write_json: WriteJson, request: pytest.FixtureRequest, warehouse: str
) -> None:
    """What a target can hold arrives as it is."""
    nul = "\ufffd" if warehouse == "in_postgres" else "\0"
    into: Warehouse = request.getfixturevalue(warehouse)
    _, url = serve()
    odd = {
        "text": "\x1b[31m\r\n\t \u2028 \x7f 😀 ﷽",
        "": "no name",
        "number": int("7" * 100),
        "fraction": 0.1234567890123456,
        "deep": json.loads("[" * 200 + "]" * 200),
        "many": {str(number): number for number in range(2_000)},
    }
    conversation, *_ = archive.conversations["bot"].values()
    message, *_ = archive.messages["bot"].values()
    conversation["metadata"] = {**odd, "nul": "a\0b"}
    conversation["tags"] = ["a\0b"]
    message["userInput"] = "a\0b 😀"
    into.load(write_json(config_for(url, "bot")))

    row = into.rows("conversations")[conversation["_id"]]
    assert row["metadata"] == {**odd, "nul": f"a{nul}b"}
    assert row["tags"] == [f"a{nul}b"]
    assert into.rows("messages")[message["_id"]]["userinput"] == f"a{nul}b 😀"


@pytest.fixture
def meltano(tmp_path: Path) -> Callable[..., None]:
    """Run `meltano run tap-deepconverse target-duckdb` over a source, in a project of its own."""
    project = tmp_path / "project"
    (project / ".meltano").mkdir(parents=True)
    for plugins in ("extractors", "loaders"):
        (project / ".meltano" / plugins).symlink_to(ROOT / ".meltano" / plugins)
    definition = (ROOT / "meltano.yml").read_text()

    def run(url: str, *bot_names: str, config: str = "", **variables: str) -> None:
        before, after = definition.split(OF_THE_EXTRACTOR)
        (project / "meltano.yml").write_text(before + config + OF_THE_EXTRACTOR + after)
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "TAP_DEEPCONVERSE_API_KEY": KEY,
            "TAP_DEEPCONVERSE_API_URL": url,
            "TAP_DEEPCONVERSE_BOT_NAMES": json.dumps(bot_names),
            "TAP_DEEPCONVERSE_START_DATE": "2026-01-01",
            "TARGET_DUCKDB_FILEPATH": str(tmp_path / "warehouse.duckdb"),
            **variables,
        }
        done = subprocess.run(
            ["meltano", "run", "--no-install", "tap-deepconverse", "target-duckdb"],  # noqa: S607
            env=environment, cwd=project, capture_output=True, text=True, check=False,
        )  # fmt: skip
        sys.stderr.write(done.stdout + done.stderr)
        assert done.returncode == 0

    return run


def test_with_meltano(serve: Serve, tmp_path: Path, meltano: Callable[..., None]) -> None:
    """Meltano discovers, selects, keeps the state and goes on from it."""
    sandbox, url = serve()
    for _ in range(2):
        meltano(url, *BOTS)
        for stream in STREAMS:
            received = warehouse_rows(tmp_path / "warehouse.duckdb", stream)
            assert differences(expected_rows(sandbox, stream), received) == []
        sandbox.archive.live(sandbox.archive.lived_until + 10_000)
    starts = [query["start_time"] for query in sandbox.requests if query["endpoint"] == "messages"]
    assert len(set(starts)) > 1


def test_the_readme_s_masking_as_it_is_written(
    serve: Serve, archive: Archive, tmp_path: Path, meltano: Callable[..., None]
) -> None:
    _, url = serve()
    (recipe,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    without_metadata, without_email, *others = archive.conversations["bot"].values()
    without_metadata["metadata"] = None
    del without_email["metadata"]["user"]["email"]
    for conversation in others:
        conversation["undocumented"] = conversation["metadata"]["user"]["email"]
    for message in archive.messages["bot"].values():
        message["undocumented"] = "customer1@example.com"
    meltano(url, "bot", config=recipe, TAP_DEEPCONVERSE_STREAM_MAP_CONFIG='{"salt": "pepper"}')
    without_meltano = yaml.safe_load(recipe)["config"]
    output = sync(config_for(url, "bot", stream_map_config={"salt": "pepper"}, **without_meltano))
    assert output.records("messages")
    assert leaks(json.dumps(output.messages)) == set()

    file = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(file), read_only=True) as connection:
        columns = {
            stream: {name for name, *_ in connection.execute(f"DESCRIBE {SCHEMA}.{stream}").fetchall()}
            for stream in STREAMS
        }
    rows = warehouse_rows(file, "conversations")
    assert {name for name in columns["conversations"] if not name.startswith("_sdc")} == {
        "_id", "bot_name", "starttime", "lastactionat", "tags", "device", "customer",
    }  # fmt: skip
    assert {name for name in columns["messages"] if not name.startswith("_sdc")} == {
        "_id", "bot_name", "conversationid", "time", "type", "useractiontype",
    }  # fmt: skip
    assert rows.keys() == archive.conversations["bot"].keys()
    for conversation in others:
        user, system = conversation["metadata"]["user"], conversation["metadata"]["system"]
        row = rows[conversation["_id"]]
        assert row["customer"] == hashlib.sha256(f"pepper{user['email']}".encode()).hexdigest()
        assert row["device"] == system["device"]
        assert row["tags"] == conversation["tags"]
    assert rows[without_metadata["_id"]]["customer"] is rows[without_email["_id"]]["customer"] is None
    assert set(warehouse_rows(file, "messages")) == archive.messages["bot"].keys()
    assert b"@example.com" not in file.read_bytes()
