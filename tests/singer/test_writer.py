import io
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

import pytest
from singer_sdk.exceptions import SyncError
from singer_sdk.singerlib.messages import RecordMessage, SchemaMessage, StateMessage

from tap_deepconverse.singer.writer import PAGE_BYTES, PageWriter


def record(number: int, pad: int = 0) -> RecordMessage:
    return RecordMessage(stream="s", record={"n": number, "pad": "x" * pad})


class Pipe:
    """Standard output as a pipe, with what has come out of it."""

    def __init__(self, buffering: int = 0) -> None:
        self.reader, writer = os.pipe()
        self.out = io.TextIOWrapper(os.fdopen(writer, "wb", buffering=buffering), write_through=True)
        os.set_blocking(self.reader, False)

    def read(self) -> list[dict[str, Any]]:
        try:
            return [json.loads(line) for line in os.read(self.reader, 1 << 24).splitlines()]
        except BlockingIOError:
            return []


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.out.close()
    os.close(pipe.reader)


@pytest.fixture
def writer(pipe: Pipe) -> PageWriter:
    """A writer whose standard output is the pipe, whatever pytest makes of it."""

    class ToPipe(PageWriter):
        def flush(self) -> None:
            with redirect_stdout(pipe.out):
                super().flush()

        def check_target(self) -> None:
            with redirect_stdout(pipe.out):
                super().check_target()

    return ToPipe()


def test_records_wait_and_a_state_comes_after_them_at_once(pipe: Pipe, writer: PageWriter) -> None:
    for number in range(5):
        writer.write_message(record(number))
    assert pipe.read() == []
    writer.write_message(StateMessage(value={"at": 5}))
    messages = pipe.read()
    assert [message["type"] for message in messages] == ["RECORD"] * 5 + ["STATE"]
    assert [message["record"]["n"] for message in messages[:5]] == list(range(5))
    writer.write_message(record(6))
    writer.flush()
    writer.flush()
    assert [message["record"]["n"] for message in pipe.read()] == [6]


def test_a_target_that_is_gone_is_noticed(pipe: Pipe, writer: PageWriter) -> None:
    writer.check_target()
    spare = os.dup(pipe.reader)
    os.close(pipe.reader)
    writer.check_target()
    os.close(spare)
    with pytest.raises(SyncError, match="has stopped reading"):
        writer.check_target()
    pipe.reader = os.open(os.devnull, os.O_RDONLY)


def test_a_schema_that_repeats_the_last_one_is_dropped(pipe: Pipe, writer: PageWriter) -> None:
    def schema(stream: str, kind: str) -> SchemaMessage:
        return SchemaMessage(stream, {"properties": {"n": {"type": kind}}}, ["n"])

    for stream, kind in [("a", "string"), ("a", "string"), ("b", "string"), ("a", "integer"), ("a", "string")]:
        writer.write_message(schema(stream, kind))
        writer.write_message(record(1))
    writer.flush()
    written = [
        (each["stream"], each["schema"]["properties"]["n"]["type"]) for each in pipe.read() if each["type"] == "SCHEMA"
    ]
    assert written == [("a", "string"), ("b", "string"), ("a", "integer"), ("a", "string")]


@pytest.mark.parametrize(("buffering", "waits"), [(0, 0), (1 << 13, 1), (1 << 13, 0)])
def test_a_slow_target_gets_all_of_a_large_page_without_a_spin(buffering: int, waits: int) -> None:
    """A pipe takes some of a page at a time, and one that does not wait says so."""
    pipe = Pipe(buffering)
    os.set_blocking(pipe.out.fileno(), bool(waits))
    os.set_blocking(pipe.reader, True)
    lines = bytearray()

    def read() -> None:
        time.sleep(0.5)
        while part := os.read(pipe.reader, 1 << 16):
            lines.extend(part)

    reading = threading.Thread(target=read)
    reading.start()
    worked = time.process_time()
    with redirect_stdout(pipe.out):
        writer = PageWriter()
        for number in range(2 * PAGE_BYTES // 1000):
            writer.write_message(record(number, pad=1000))
        writer.flush()
    worked = time.process_time() - worked
    pipe.out.close()
    reading.join(30)
    os.close(pipe.reader)
    assert [json.loads(line)["record"]["n"] for line in lines.splitlines()] == list(range(2 * PAGE_BYTES // 1000))
    assert worked < 0.4


def test_a_target_that_goes_while_the_tap_is_stopped_is_no_error() -> None:
    """Ctrl-C stops the target, too."""
    writer = PageWriter()

    class Interrupted(io.BytesIO):
        def write(self, _: Any) -> int:
            writer.stop(KeyboardInterrupt())
            raise BrokenPipeError

    with redirect_stdout(io.TextIOWrapper(Interrupted())):
        writer.write_message(record(1))
        with pytest.raises(KeyboardInterrupt):
            writer.flush()
        writer.flush()


def test_what_waits_is_dropped_when_the_tap_is_stopped(pipe: Pipe, writer: PageWriter) -> None:
    writer.write_message(record(1))
    with pytest.raises(KeyboardInterrupt):
        writer.stop(KeyboardInterrupt())
    writer.flush()
    assert pipe.read() == []
