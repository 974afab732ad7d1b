"""Whatever ends a run ends it although requests are under way, with what was complete before.

What hangs here hangs for longer than a test waits, so nothing depends on how fast the machine is.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Response, request

from sandbox.archive import DAY, Archive
from sandbox.contract import ENDPOINTS
from sandbox.faults import asked, error, page
from tap_deepconverse.records.values import format_time
from tests.conftest import NOW, Serve, WriteJson
from tests.support import TAP, bookmark_in, command, config_for

SPAN: dict[str, Any] = {
    "start_date": "2026-09-11T00:00:00Z", "end_date": "2026-09-22T00:00:00Z", "request_timeout": 900,
}  # fmt: skip
FOR_LONG = 900
SOON = 200


class Hanging:
    """Answers for the first days of the span, and leaves all other requests hanging."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.hanging = threading.Semaphore(0)

    def __call__(self, _: Response) -> Response:
        start = int(asked()["start_time"])
        if start >= int(datetime(2026, 9, 14, tzinfo=UTC).timestamp()) - 1:
            self.hanging.release()
            self.over.wait(FOR_LONG)
        pad = "x" * 2000
        return page(
            [{"_id": f"{start}-{n}", "lastActionAt": start + 60, "time": start, "pad": pad} for n in range(200)]
        )


@pytest.fixture
def hanging(serve: Serve) -> Iterator[tuple[Hanging, str]]:
    sandbox, url = serve()
    sandbox.fault = fault = Hanging()
    yield fault, url
    fault.over.set()


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_soon_with_the_last_checkpoint_and_not_as_a_success(
    hanging: tuple[Hanging, str], write_json: WriteJson, tmp_path: Path, signal_: signal.Signals
) -> None:
    config = write_json(config_for(hanging[1], window_days=1, **SPAN))
    output, log = tmp_path / "output", tmp_path / "log"
    with (
        output.open("wb") as stdout,
        log.open("wb") as stderr,
        subprocess.Popen([TAP, "--config", config], stdout=stdout, stderr=stderr) as tap,  # noqa: S603
    ):
        assert hanging[0].hanging.acquire(timeout=SOON)
        while b'"lastActionAt","replication_key_value":"2026-09-13' not in output.read_bytes():
            time.sleep(0.01)
        tap.send_signal(signal_)
        assert tap.wait(SOON) == 128 + signal_
    messages = [json.loads(line) for line in output.read_bytes().splitlines()]
    state = [message["value"] for message in messages if message["type"] == "STATE"][-1]
    first_days = {message["record"]["_id"] for message in messages if message["type"] == "RECORD"}
    assert bookmark_in(state, "conversations") == format_time(datetime(2026, 9, 13, 0, 0, 59, tzinfo=UTC))
    assert len(first_days) == 3 * 200
    said = log.read_text()
    sys.stderr.write(said)
    assert f"Stopped by {signal_.name}. The next run goes on from the last state that the loader confirmed." in said
    assert "Traceback" not in said


@pytest.fixture
def piped(hanging: tuple[Hanging, str], write_json: WriteJson) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The tap, whose requests hang by now, and where its target reads; what came before that is taken."""
    config = write_json(config_for(hanging[1], window_days=1, **SPAN))
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with subprocess.Popen([TAP, "--config", config], stdout=writer, stderr=subprocess.PIPE, text=True) as tap:  # noqa: S603
        os.close(writer)
        while not hanging[0].hanging.acquire(timeout=0.05):
            with suppress(BlockingIOError):
                os.read(reader, 1 << 16)
        yield tap, reader
        tap.kill()


def test_ctrl_c_as_meltano_passes_it_on_leaves_one_line(piped: tuple[subprocess.Popen[str], int]) -> None:
    """The whole group gets SIGINT, so the target is gone; SIGTERM follows at once."""
    tap, reader = piped
    os.close(reader)
    tap.send_signal(signal.SIGINT)
    tap.send_signal(signal.SIGTERM)
    _, said = tap.communicate(timeout=20)
    assert tap.returncode == 128 + signal.SIGINT or "The target has stopped reading" in said
    assert "Traceback" not in said
    assert "Exception ignored" not in said


def test_a_target_that_dies_ends_it_soon(piped: tuple[subprocess.Popen[str], int]) -> None:
    tap, reader = piped
    os.close(reader)
    _, said = tap.communicate(timeout=SOON)
    assert tap.returncode == 1
    sys.stderr.write(said)
    assert "| The target has stopped reading: see its log. The next run goes on" in said.splitlines()[-1]
    assert "Traceback" not in said


def test_a_target_that_hangs_does_not_keep_it_from_ending(serve: Serve, write_json: WriteJson) -> None:
    archive = Archive(seed=2)
    archive.add_bot("bot", 3000, NOW - 10 * DAY, NOW)
    sandbox, url = serve(archive)
    config = write_json(config_for(url, page_size=50, **SPAN))
    reader, writer = os.pipe()
    with subprocess.Popen([TAP, "--config", config], stdout=writer, stderr=subprocess.DEVNULL) as tap:  # noqa: S603
        os.close(writer)
        so_far = -1
        while so_far < 3 or len(sandbox.requests) > so_far:
            so_far = len(sandbox.requests)
            time.sleep(0.5)
        # Nobody takes the records, so nothing more is asked for.
        assert so_far < 60
        tap.send_signal(signal.SIGTERM)
        assert tap.wait(SOON) == 128 + signal.SIGTERM
    os.close(reader)


def test_a_window_that_fails_behind_one_that_hangs_fails_the_run(serve: Serve, write_json: WriteJson) -> None:
    over = threading.Event()

    def answer(_: Response) -> Response:
        if request.path != ENDPOINTS["conversations"].path:
            return page([])
        if int(asked()["start_time"]) == int(datetime(2026, 9, 12, tzinfo=UTC).timestamp()) - 1:
            return error(404, "Bot not found")
        over.wait(FOR_LONG)
        return page([])

    sandbox, url = serve()
    sandbox.fault = answer
    done = command("--config", write_json(config_for(url, window_days=1, **SPAN)))
    over.set()
    assert done.status == 1
    assert "These bots failed (conversations: 'bot')" in done.log


def test_a_signal_while_the_tap_is_made_writes_nothing(write_json: WriteJson) -> None:
    """The SDK would write an empty STATE then, and end as if the work were whole."""
    config = write_json(config_for("http://127.0.0.1:1"))
    code = (
        "import os, sys\n"
        "from tap_deepconverse.tap import TapDeepConverse\n"
        f"TapDeepConverse.setup_mapper = lambda self: os.kill(os.getpid(), {int(signal.SIGTERM)})\n"
        f"sys.argv = ['tap-deepconverse', '--config', {str(config)!r}]\n"
        "from tap_deepconverse.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=300, check=False)  # noqa: S603
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stdout == b""
