"""The whole way: the real command line and the real Meltano, into real targets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.archive import DAY, Archive
from sandbox.check import Rows, differences, expected_rows, received_rows
from sandbox.demo import SCHEMA, warehouse_rows
from sandbox.server import KEY, Sandbox
from tests import postgres
from tests.support import ROOT, TAP, config_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Serve, WriteJson

STREAMS = ("conversations", "messages")
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

        yield Warehouse("target-postgres", {**server, "default_target_schema": SCHEMA}, rows)


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


def test_with_meltano(serve: Serve, tmp_path: Path) -> None:
    """Meltano discovers, selects, keeps the state and goes on from it."""
    sandbox, url = serve()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MELTANO_DATABASE_URI": f"sqlite:///{tmp_path}/meltano.db",
        "TAP_DEEPCONVERSE_API_KEY": KEY,
        "TAP_DEEPCONVERSE_API_URL": url,
        "TAP_DEEPCONVERSE_BOT_NAMES": json.dumps(BOTS),
        "TAP_DEEPCONVERSE_START_DATE": "2026-01-01",
        "TARGET_DUCKDB_FILEPATH": str(tmp_path / "warehouse.duckdb"),
    }
    for _ in range(2):
        done = subprocess.run(
            ["meltano", "run", "tap-deepconverse", "target-duckdb"],  # noqa: S607
            env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        sys.stderr.write(done.stdout + done.stderr)
        assert done.returncode == 0
        for stream in STREAMS:
            received = warehouse_rows(tmp_path / "warehouse.duckdb", stream)
            assert differences(expected_rows(sandbox, stream), received) == []
        sandbox.archive.live(sandbox.archive.lived_until + 10_000)
    starts = [query["start_time"] for query in sandbox.requests if query["endpoint"] == "messages"]
    assert len(set(starts)) > 1
