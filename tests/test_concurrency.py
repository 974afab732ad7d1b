"""The limit is used and kept, and whatever ends a run ends it soon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from sandbox.archive import DAY, Archive
from tap_deepconverse.records.timestamps import format_time
from tests.conftest import NOW
from tests.support import TAP, bookmark_in, command, config_for, sync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from werkzeug import Request

    from tests.conftest import Serve, WriteJson

SPAN: dict[str, Any] = {"start_date": "2026-09-11T00:00:00Z", "end_date": "2026-09-22T00:00:00Z"}


def test_a_strict_server_refuses_next_to_nothing(serve: Serve) -> None:
    sandbox, url = serve(requests_per_second=20, latency=0.1)
    output = sync(config_for(url, page_size=4, requests_per_second=20, **SPAN))
    assert len(output.newest("conversations")) == 50
    assert len(sandbox.requests) > 60
    assert sandbox.refused <= 2


def test_too_many_requests_slow_all_readers(serve: Serve, archive: Archive) -> None:
    """Asked much faster than it allows, the server is left alone for as long as it says."""
    sandbox, url = serve(requests_per_second=5)
    output = sync(config_for(url, requests_per_second=1000, window_days=1, **SPAN))
    assert output.newest("messages").keys() == archive.messages["bot"].keys()
    assert len(sandbox.requests) > 20
    assert sandbox.refused < 8 * len(sandbox.requests) / 5


def test_a_busy_bot_is_read_in_full_pages(serve: Serve) -> None:
    archive = Archive(seed=2)
    archive.add_bot("bot", 3000, NOW - 90 * DAY, NOW)
    sandbox, url = serve(archive)
    config = config_for(
        url, page_size=50, concurrency=2, start_date="2026-06-23T00:00:00Z", end_date="2026-09-22T00:00:00Z"
    )
    output = sync(config)
    assert len(output.newest("conversations")) == 3000
    asked = [query for query in sandbox.requests if query["endpoint"] == "conversations"]
    assert len(asked) < 1.35 * 3000 / 50


class Hanging:
    """A server that answers for the first days of the span, and leaves all other requests hanging."""

    def __init__(self, httpserver: HTTPServer) -> None:
        self.answers_before = datetime(2026, 9, 14, tzinfo=UTC).timestamp()
        self.over = threading.Event()
        self.hanging = threading.Semaphore(0)
        for stream in ("conversations", "messages"):
            httpserver.expect_request(f"/conversations/export/v1/{stream}").respond_with_handler(self.answer)
        self.url = httpserver.url_for("")

    def answer(self, request: Request) -> Response:
        start = int(request.args["start_time"])
        if start >= self.answers_before:
            self.hanging.release()
            self.over.wait(30)
        pad = "x" * 2000
        data = [{"_id": f"{start}-{n}", "lastActionAt": start + 60, "time": start, "pad": pad} for n in range(200)]
        return Response(json.dumps({"data": data, "cursor": None}), content_type="application/json")


@pytest.fixture
def httpserver() -> Iterator[HTTPServer]:
    """A server that can answer while it leaves others hanging."""
    with HTTPServer(threaded=True) as server:
        yield server


@pytest.fixture
def hanging(httpserver: HTTPServer) -> Iterator[Hanging]:
    server = Hanging(httpserver)
    yield server
    server.over.set()


@contextmanager
def tap_running(config: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the tap, its messages and its log in files."""
    with (
        (folder / "output").open("wb") as output,
        (folder / "log").open("wb") as log,
        subprocess.Popen([TAP, "--config", config], stdout=output, stderr=log) as tap,  # noqa: S603
    ):
        yield tap


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_soon_with_the_last_checkpoint_and_not_as_a_success(
    hanging: Hanging, write_json: WriteJson, tmp_path: Path, signal_: signal.Signals
) -> None:
    config = write_json(config_for(hanging.url, window_days=1, **SPAN))
    output, log = tmp_path / "output", tmp_path / "log"
    with tap_running(config, tmp_path) as tap:
        assert hanging.hanging.acquire(timeout=20)
        while b'"lastActionAt","replication_key_value":"2026-09-13' not in output.read_bytes():
            time.sleep(0.01)
        began = time.monotonic()
        tap.send_signal(signal_)
        assert tap.wait(20) == 128 + signal_
        assert time.monotonic() - began < 10
    messages = [json.loads(line) for line in output.read_bytes().splitlines()]
    state = [message["value"] for message in messages if message["type"] == "STATE"][-1]
    first_days = {message["record"]["_id"] for message in messages if message["type"] == "RECORD"}
    assert bookmark_in(state, "conversations") == format_time(datetime(2026, 9, 13, 0, 1, tzinfo=UTC))
    assert len(first_days) == 3 * 200
    said = log.read_text()
    sys.stderr.write(said)
    assert f"Stopped by {signal_.name}. The next run goes on from the last checkpoint." in said
    assert "Traceback" not in said


def test_a_target_that_dies_ends_it_soon(hanging: Hanging, write_json: WriteJson, tmp_path: Path) -> None:
    config = write_json(config_for(hanging.url, window_days=1, **SPAN))
    reader, writer = os.pipe()
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen([TAP, "--config", config], stdout=writer, stderr=log) as tap,  # noqa: S603
    ):
        os.close(writer)
        os.read(reader, 100)
        assert hanging.hanging.acquire(timeout=20)
        began = time.monotonic()
        os.close(reader)
        assert tap.wait(20) == 1
        assert time.monotonic() - began < 10
    said = (tmp_path / "log").read_text()
    sys.stderr.write(said)
    assert said.rstrip().endswith(
        "| The target has stopped reading: see its log. The next run goes on from the last checkpoint."
    )
    assert "Traceback" not in said


def test_a_target_that_hangs_does_not_keep_it_from_ending(serve: Serve, write_json: WriteJson) -> None:
    archive = Archive(seed=2)
    archive.add_bot("bot", 3000, NOW - 10 * DAY, NOW)
    sandbox, url = serve(archive)
    config = write_json(config_for(url, page_size=50, **SPAN))
    reader, writer = os.pipe()
    with subprocess.Popen([TAP, "--config", config], stdout=writer, stderr=subprocess.DEVNULL) as tap:  # noqa: S603
        os.close(writer)
        asked = -1
        while asked < 3 or len(sandbox.requests) > asked:
            asked = len(sandbox.requests)
            time.sleep(0.5)
        # Nobody takes the records, so nothing more is asked for.
        assert asked < 60
        began = time.monotonic()
        tap.send_signal(signal.SIGTERM)
        assert tap.wait(20) == 128 + signal.SIGTERM
        assert time.monotonic() - began < 10
    os.close(reader)


def test_an_error_in_one_reader_ends_it_soon_while_others_hang(httpserver: HTTPServer, write_json: WriteJson) -> None:
    over = threading.Event()

    def answer(request: Request) -> Response:
        if request.args["start_time"] == str(1_789_171_200):
            return Response('{"message": "Forbidden"}', status=403)
        over.wait(30)
        return Response('{"data": [], "cursor": null}')

    httpserver.expect_request("/conversations/export/v1/conversations").respond_with_handler(answer)
    began = time.monotonic()
    done = command("--config", write_json(config_for(httpserver.url_for(""), window_days=1, **SPAN)))
    over.set()
    assert done.status == 1
    assert "check `api_key`" in done.log
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("handler", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_tap_is_made_writes_nothing(handler: signal.Signals, write_json: WriteJson) -> None:
    """The SDK would write an empty STATE then, and end as if the work were whole."""
    config = write_json(config_for("http://127.0.0.1:1"))
    code = (
        "import os, sys\n"
        "from tap_deepconverse.tap import TapDeepConverse\n"
        f"TapDeepConverse.setup_mapper = lambda self: os.kill(os.getpid(), {int(handler)})\n"
        f"sys.argv = ['tap-deepconverse', '--config', {str(config)!r}]\n"
        "from tap_deepconverse.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=False)  # noqa: S603
    assert done.returncode == 128 + handler
    assert done.stdout == b""


def test_one_window_that_fails_for_good_keeps_nothing_before_it_from_the_checkpoint(
    httpserver: HTTPServer, write_json: WriteJson
) -> None:
    def answer(request: Request) -> Response:
        start = int(request.args["start_time"])
        if start == int(datetime(2026, 9, 17, tzinfo=UTC).timestamp()):
            return Response('{"message": "Payload Too Large"}', status=413)
        time.sleep(0.2)
        found = [{"_id": str(start), "lastActionAt": start + 60}]
        return Response(json.dumps({"data": found, "cursor": None}))

    httpserver.expect_request("/conversations/export/v1/conversations").respond_with_handler(answer)
    done = command("--config", write_json(config_for(httpserver.url_for(""), window_days=1, **SPAN)))
    assert done.status == 1
    assert "Payload Too Large" in done.log
    assert bookmark_in(done.state, "conversations") == format_time(datetime(2026, 9, 16, 0, 1, tzinfo=UTC))
