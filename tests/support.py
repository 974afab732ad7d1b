"""What several tests use: a sandbox in some behaviour, and the tap run over it, in this process or as a command."""

import io
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from unittest import mock

from requests import Response
from singer_sdk.exceptions import FatalAPIError, SyncError
from singer_sdk.singerlib.encoding.base import GenericSingerWriter
from singer_sdk.singerlib.json import serialize_json
from singer_sdk.singerlib.messages import Message
from typing_extensions import override

from sandbox.check import differences, expected_rows, received_rows
from sandbox.contract import KEY, STREAMS
from sandbox.server import Sandbox
from tap_deepconverse.__main__ import main
from tap_deepconverse.api.retry import RetryPolicy
from tap_deepconverse.client import ExportStream
from tap_deepconverse.tap import TapDeepConverse

ROOT = Path(__file__).parent.parent
TAP = Path(sys.executable).parent / "tap-deepconverse"
START = "2026-01-01T00:00:00Z"

Json = dict[str, Any]


def config_for(url: str, *bot_names: str, **settings: Any) -> Json:
    """Settings for a sandbox, which is asked without pause: the tests of the pace set it themselves."""
    needed = {"api_key": KEY, "api_url": url, "bot_names": list(bot_names or ["bot"]), "start_date": START}
    return {**needed, "requests_per_second": 10_000, **settings}


def section(document: str, heading: str) -> str:
    """What stands in Markdown below a heading of the second level."""
    return document.split(f"\n## {heading}\n")[1].split("\n## ", maxsplit=1)[0]


def table_cells(text: str) -> list[list[str]]:
    """The cells of all lines of Markdown tables in a text."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def response_of(status: int, body: bytes | str = b"", reason: str = "Bad Gateway", **headers: str) -> Response:
    """A response of the API."""
    made = Response()
    made.status_code, made.reason, made.url = status, reason, ""
    made.raw = io.BytesIO(body.encode() if isinstance(body, str) else body)
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


def one_window(url: str, *bot_names: str, **settings: Any) -> Json:
    """Settings under which each stream of a bot takes a single window."""
    return config_for(url, *bot_names, **{"end_date": "2026-01-02T00:00:00Z", **settings})


def patience(**policy: float) -> AbstractContextManager[Any]:
    """Let the tap wait less for an API that fails than it does by default."""
    return mock.patch.object(ExportStream, "retry_policy", RetryPolicy(**policy))


class Time(threading.Event):
    """A clock, and the event that ends a sync: to wait is to let time pass. `when_waiting` is called once in it."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 1_000.0
        self.when_waiting: Callable[[], object] | None = None

    def __call__(self) -> float:
        return self.seconds

    @override
    def wait(self, timeout: float | None = None) -> bool:
        if call := self.when_waiting:
            self.when_waiting = None
            call()
        self.seconds += timeout or 0.0
        return self.is_set()


@dataclass
class Output:
    """The Singer messages of a run."""

    messages: list[Json] = field(default_factory=list)

    def records(self, stream: str) -> list[Json]:
        return [m["record"] for m in self.messages if m["type"] == "RECORD" and m["stream"] == stream]

    def newest(self, stream: str) -> dict[str, Json]:
        """What a warehouse that keeps the last version of each `_id` would hold."""
        return {record["_id"]: record for record in self.records(stream)}

    @property
    def states(self) -> list[Json]:
        return [m["value"] for m in self.messages if m["type"] == "STATE"]

    @property
    def state(self) -> Json:
        return self.states[-1]

    def bookmark(self, stream: str, bot_name: str = "bot") -> str | None:
        return bookmark_in(self.state, stream, bot_name)


def lost(sandbox: Sandbox, *outputs: Output) -> list[str]:
    """What a warehouse that received these outputs in turn would lack, or have wrong."""
    received = Output([message for output in outputs for message in output.messages])
    return [
        f"{stream}: {difference}"
        for stream in STREAMS
        for difference in differences(
            expected_rows(sandbox, stream), received_rows(received.records(stream), appended=True)
        )
    ]


def bookmark_in(state: Json, stream: str, bot_name: str = "bot") -> str | None:
    for partition in state["bookmarks"][stream].get("partitions", []):
        if partition["context"] == {"bot_name": bot_name}:
            value: str | None = partition.get("replication_key_value")
            return value
    return None


class Collector(GenericSingerWriter[str, "Message"]):
    """Keeps messages instead of writing them."""

    def __init__(self) -> None:
        self.output = Output()

    @override
    def serialize_message(self, message: Message) -> str:
        return serialize_json(message.to_dict())

    @override
    def write_message(self, message: Message) -> None:
        self.output.messages.append(json.loads(self.serialize_message(message)))


def sync(config: Mapping[str, Any], state: Json | None = None) -> Output:
    """Run the tap in this process."""
    writer = Collector()
    run_into(writer, config, state)
    return writer.output


def run_into(writer: Collector, config: Mapping[str, Any], state: Json | None = None) -> None:
    """Run the tap in this process; what has been written stays, should it fail."""
    tap = TapDeepConverse(config=dict(config), state=json.loads(json.dumps(state or {})), message_writer=writer)
    try:
        tap.run()
    except SyncError as error:
        for failed in tap.failed_bots.values():
            raise FatalAPIError(*failed.values()) from error
        raise


@dataclass
class Command(Output):
    """A run of the real command."""

    status: int = 0
    log: str = ""
    stdout: str = ""


FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(["pytest", "tests.support"])


def command(*arguments: str | Path, env: Mapping[str, str] | None = None) -> Command:
    """Run the tap's command in a process of its own, which need not wait for Python to start and to import the tap."""
    with tempfile.TemporaryDirectory() as folder:
        stdout, stderr = Path(folder, "stdout"), Path(folder, "stderr")
        status = finished(start(arguments, stdout, stderr, env))
        written, log = stdout.read_text(), stderr.read_text()
    sys.stderr.write(log)  # where it is searched for what must not be logged
    lines: Iterable[str] = written.splitlines() if '"type"' in written[:20] else []
    return Command([json.loads(line) for line in lines], status, log, written)


def start(
    arguments: Iterable[str | Path], stdout: Path, stderr: Path, env: Mapping[str, str] | None = None
) -> ForkServerProcess:
    """Start the command, with files for what it writes."""
    surroundings = Path.cwd(), dict(os.environ if env is None else env)
    process = FRESH.Process(target=_be_the_command, args=(list(map(str, arguments)), stdout, stderr, *surroundings))
    process.start()
    return process


def finished(process: ForkServerProcess) -> int:
    """Wait for a process; gives its status."""
    process.join(600)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


def _be_the_command(arguments: list[str], stdout: Path, stderr: Path, folder: Path, env: dict[str, str]) -> None:
    for path, number in ((stdout, 1), (stderr, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.argv = ["tap-deepconverse", *arguments]
    main()
