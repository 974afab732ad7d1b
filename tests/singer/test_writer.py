import io
import json
import os
import threading
import time
from contextlib import redirect_stdout
from typing import Any

import pytest
from singer_sdk.singerlib.messages import RecordMessage, SchemaMessage, StateMessage

from tap_deepconverse.singer.writer import PAGE_BYTES, PageWriter


def record(number: int, pad: int = 0) -> RecordMessage:
    return RecordMessage(stream="s", record={"n": number, "pad": "x" * pad})


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The messages that have come out since the last call."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_records_wait_and_a_state_comes_after_them_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    writer = PageWriter()
    for number in range(5):
        writer.write_message(record(number))
    assert written(capsys) == []
    writer.write_message(StateMessage(value={"at": 5}))
    *records, state = written(capsys)
    assert state["type"] == "STATE"
    assert [message["record"]["n"] for message in records] == list(range(5))
    writer.write_message(record(6))
    writer.flush()
    writer.flush()
    assert [message["record"]["n"] for message in written(capsys)] == [6]


def test_a_schema_that_repeats_the_last_one_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    writer = PageWriter()
    for stream, kind in [("a", "string"), ("a", "string"), ("b", "string"), ("a", "integer"), ("a", "string")]:
        writer.write_message(SchemaMessage(stream, {"properties": {"n": {"type": kind}}}, ["n"]))
        writer.write_message(record(1))
    schemas = [message for message in written(capsys) if message["type"] == "SCHEMA"]
    assert [(each["stream"], each["schema"]["properties"]["n"]["type"]) for each in schemas] == [
        ("a", "string"), ("b", "string"), ("a", "integer"), ("a", "string"),
    ]  # fmt: skip


@pytest.mark.parametrize(("buffering", "waits"), [(0, 0), (1 << 13, 1), (1 << 13, 0)])
def test_a_slow_target_gets_all_of_a_large_page_without_a_spin(buffering: int, waits: int) -> None:
    """A pipe takes some of a page at a time, and one that does not wait says so."""
    reader, pipe = os.pipe()
    out = io.TextIOWrapper(os.fdopen(pipe, "wb", buffering=buffering), write_through=True)
    os.set_blocking(pipe, bool(waits))
    numbers = list(range(2 * PAGE_BYTES // 1000))
    lines = bytearray()

    def read() -> None:
        time.sleep(0.5)
        while part := os.read(reader, 1 << 16):
            lines.extend(part)

    reading = threading.Thread(target=read)
    reading.start()
    worked = time.process_time()
    with redirect_stdout(out):
        writer = PageWriter()
        for number in numbers:
            writer.write_message(record(number, pad=1000))
        writer.flush()
    worked = time.process_time() - worked
    out.close()
    reading.join(30)
    os.close(reader)
    assert [json.loads(line)["record"]["n"] for line in lines.splitlines()] == numbers
    assert worked < 0.4


def test_what_waits_is_dropped_when_the_tap_is_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    writer = PageWriter()
    writer.write_message(record(1))
    with pytest.raises(KeyboardInterrupt):
        writer.stop(KeyboardInterrupt())
    writer.flush()
    assert written(capsys) == []
