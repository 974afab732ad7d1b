"""The command lines of what is measured: the tap, and what a user would pick instead."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.measure import Api

BIN = Path(sys.executable).parent
DLT = Path("benchmarks/.venv/bin/python")

OURS = "tap-deepconverse"
OTHERS = {
    "plain SDK tap": f"{sys.executable} -m benchmarks.plain_tap",
    "the documentation's script": f"{sys.executable} -m benchmarks.script",
    "dlt rest_api (extract)": f"{DLT} -m benchmarks.with_dlt",
}


def other(name: str, api: Api, start: int) -> str:
    """Write the command line of another contender.

    Args:
        name: Its name, one of `OTHERS`.
        api: The API to read.
        start: From when on, in Unix seconds.

    Returns:
        The command line. What it reads ends where the data ends.
    """
    return f"{OTHERS[name]} {api.url} {start} {api.data.end} {' '.join(api.data.bot_names)}"


def ours(
    api: Api, folder: str, start: int, *, end: int | None = None, state: dict[str, Any] | None = None, **settings: int
) -> str:
    """Write the command line of the tap, for its conversations alone.

    Args:
        api: The API to read.
        folder: A folder for the tap's files.
        start: The start date, in Unix seconds.
        end: The end date; by default where the data ends.
        state: The state that the tap starts with.
        settings: More of the tap's settings.

    Returns:
        The command line.
    """
    config = {
        "api_key": "key",
        "api_url": api.url,
        "bot_names": api.data.bot_names,
        "start_date": iso_time(start),
        "lookback_days": 1,
        "end_date": iso_time(end or api.data.end),
        **settings,
    }
    files = {"config": config, "catalog": _catalog()} | ({"state": state} if state else {})
    own_folder = Path(tempfile.mkdtemp(dir=folder))
    for name, content in files.items():
        (own_folder / name).write_text(json.dumps(content))
    return " ".join([f"{BIN}/tap-deepconverse", *(f"--{name} {own_folder / name}" for name in files)])


def bookmarks(api: Api, moment: int) -> dict[str, Any]:
    """Write a state as older versions of the tap do: bookmarks and nothing else.

    Args:
        api: The API, which has the names of the bots.
        moment: Where the bookmarks are, in Unix seconds.

    Returns:
        The state.
    """
    bookmark = {"replication_key": "lastActionAt", "replication_key_value": iso_time(moment)}
    partitions = [{"context": {"bot_name": name}, **bookmark} for name in api.data.bot_names]
    return {"bookmarks": {"conversations": {"partitions": partitions}}}


def last_state(output: Path) -> dict[str, Any]:
    """Find the state that a run of the tap wrote last.

    Args:
        output: A file with what the run wrote.

    Returns:
        The state.
    """
    with output.open() as lines:
        messages = (json.loads(line) for line in lines if "STATE" in line)
        *_, state = (message["value"] for message in messages if message["type"] == "STATE")
    return dict(state)


def iso_time(moment: int) -> str:
    """Write a moment as text.

    Args:
        moment: The moment, in Unix seconds.

    Returns:
        For example 2026-09-21T14:13:20Z.
    """
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"


@cache
def _catalog() -> dict[str, Any]:
    catalog = json.loads(subprocess.check_output([BIN / "tap-deepconverse", "--discover"], stderr=subprocess.DEVNULL))  # noqa: S603
    return {"streams": [stream for stream in catalog["streams"] if stream["tap_stream_id"] == "conversations"]}
