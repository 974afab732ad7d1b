"""The command lines of what is measured: the tap, and what a user would pick instead."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Collection
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.measure import Api
from sandbox.contract import ENDPOINTS

BIN = Path(sys.executable).parent
DLT = Path("benchmarks/.venv/bin/python")

OURS = "tap-deepconverse"
OTHERS = {
    "plain SDK tap": f"{sys.executable} -m benchmarks.plain_tap",
    "the documentation's script": f"{sys.executable} -m benchmarks.script",
    "dlt rest_api (extract)": f"{DLT} -m benchmarks.with_dlt",
}


def other(name: str, api: Api, start: int) -> str:
    """Write the command line of another contender."""
    return f"{OTHERS[name]} {api.url} {start} {api.data.end} {' '.join(api.data.bot_names)}"


def ours(  # noqa: PLR0913
    api: Api,
    folder: str,
    start: int,
    streams: Collection[str] = ("conversations",),
    *,
    end: int | None = None,
    state: dict[str, Any] | None = None,
    **settings: int,
) -> str:
    """Write the command line of the tap."""
    config = {
        "api_key": "key",
        "api_url": api.url,
        "bot_names": api.data.bot_names,
        "start_date": iso_time(start),
        "lookback_days": 1,
        "end_date": iso_time(end or api.data.end),
        **settings,
    }
    catalog = {"streams": [each for each in _streams() if each["tap_stream_id"] in streams]}
    files = {"config": config, "catalog": catalog} | ({"state": state} if state else {})
    own_folder = Path(tempfile.mkdtemp(dir=folder))
    for name, content in files.items():
        (own_folder / name).write_text(json.dumps(content))
    return " ".join([f"{BIN}/tap-deepconverse", *(f"--{name} {own_folder / name}" for name in files)])


def bookmarks(api: Api, moment: int, streams: Collection[str]) -> dict[str, Any]:
    """Write a state with bookmarks and nothing else."""
    found = {}
    for stream in streams:
        bookmark = {"replication_key": ENDPOINTS[stream].time, "replication_key_value": iso_time(moment)}
        partitions = [{"context": {"bot_name": name}, **bookmark} for name in api.data.bot_names]
        found[stream] = {"partitions": partitions}
    return {"bookmarks": found}


def last_state(output: Path) -> dict[str, Any]:
    """Find the state that a run of the tap wrote last."""
    with output.open() as lines:
        messages = (json.loads(line) for line in lines if "STATE" in line)
        *_, state = (message["value"] for message in messages if message["type"] == "STATE")
    return dict(state)


def iso_time(moment: int) -> str:
    """Write a moment as text."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"


@cache
def _streams() -> list[dict[str, Any]]:
    catalog = json.loads(subprocess.check_output([BIN / "tap-deepconverse", "--discover"], stderr=subprocess.DEVNULL))  # noqa: S603
    streams: list[dict[str, Any]] = catalog["streams"]
    return streams
