from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from typing import Any

import pytest
from singer_sdk.singerlib.messages import StateMessage

from tap_deepconverse.singer.process import TerminatedError, stop
from tap_deepconverse.singer.writer import PageWriter


@pytest.mark.parametrize("writer", [None, PageWriter()])
def test_it_ends_at_once_with_the_status_that_shells_expect(writer: PageWriter | None) -> None:
    with pytest.raises(TerminatedError) as ending:
        stop(signal.SIGTERM, writer)
    assert ending.value.code == 128 + signal.SIGTERM
    assert ending.value.signal_name == "SIGTERM"


def test_it_does_not_end_within_a_message() -> None:
    writer, written = PageWriter(), io.BytesIO()

    class Interrupted(io.BytesIO):
        def write(self, data: Any) -> int:
            stop(signal.SIGTERM, writer)
            return written.write(data)

    with redirect_stdout(io.TextIOWrapper(Interrupted())), pytest.raises(TerminatedError):
        writer.write_message(StateMessage(value={"at": 5}))
    assert written.getvalue().endswith(b"}\n")


EMBEDDED = """
import os, signal, sys, threading
from tap_deepconverse.tap import TapDeepConverse
tap = TapDeepConverse(validate_config=False)
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("goes on", threading.active_count())
"""
COMMAND = """
import os, signal, sys, time
from tap_deepconverse.singer import process
process.end_on_signals()
try:
    os.kill(os.getpid(), signal.SIGINT)
finally:
    os.kill(os.getpid(), signal.SIGTERM)
    {what}
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603


def test_a_process_that_embeds_the_tap_catches_ctrl_c_and_lives() -> None:
    done = run(EMBEDDED)
    assert (done.returncode, done.stdout) == (0, "goes on 1\n")


def test_a_second_signal_does_nothing() -> None:
    done = run(COMMAND.format(what="print('to its end')"))
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "to its end\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals of POSIX")
def test_what_hangs_is_ended_by_force() -> None:
    done = run(COMMAND.format(what="time.sleep(50)"))
    assert done.returncode == 128 + signal.SIGINT
