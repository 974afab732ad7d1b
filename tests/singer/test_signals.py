import io
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from typing import Any

import pytest
from singer_sdk.singerlib.messages import StateMessage

from tap_deepconverse.singer.process import TerminatedError, stop
from tap_deepconverse.singer.writer import PageWriter


@pytest.mark.parametrize("is_target_gone", [False, True])
def test_it_does_not_end_within_a_message(*, is_target_gone: bool) -> None:
    """Ctrl-C stops the target, too, which is no error then."""
    writer, written = PageWriter(), io.BytesIO()

    class Interrupted(io.BytesIO):
        def write(self, data: Any) -> int:
            stop(signal.SIGTERM, writer)
            if is_target_gone:
                raise BrokenPipeError
            return written.write(data)

    with redirect_stdout(io.TextIOWrapper(Interrupted())):
        with pytest.raises(TerminatedError) as ending:
            writer.write_message(StateMessage(value={"at": 5}))
        writer.flush()
    assert is_target_gone or written.getvalue().endswith(b"}\n")
    assert (ending.value.code, ending.value.signal_name) == (143, "SIGTERM")


EMBEDDED = """
import os, signal, threading
from tap_deepconverse.tap import TapDeepConverse
tap = TapDeepConverse(validate_config=False)
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("goes on", threading.active_count())
"""
COMMAND = """
import os, signal, time
from tap_deepconverse.singer import process
process.end_on_signals()
try:
    os.kill(os.getpid(), signal.SIGINT)
finally:
    os.kill(os.getpid(), signal.SIGTERM)
    {what}
"""


@pytest.mark.parametrize(
    ("code", "status", "written"),
    [
        pytest.param(EMBEDDED, 0, "goes on 1\n", id="a process that embeds the tap catches Ctrl-C and lives"),
        pytest.param(COMMAND.format(what="print('end')"), 130, "end\n", id="a second signal does nothing"),
        pytest.param(COMMAND.format(what="time.sleep(50)"), 130, "", id="what hangs is ended by force"),
    ],
)
def test_what_signals_do_to_a_process(code: str, status: int, written: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    assert (done.returncode, done.stdout) == (status, written)
    assert "Traceback" not in done.stderr
