"""Measure, and write `benchmarks/RESULTS.md`: `make bench`."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click
import requests
from rich.console import Console
from rich.table import Table

from benchmarks.server import DAYS, END

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BIN = Path(sys.executable).parent
DLT = Path("benchmarks/.venv/bin/python")
TARGET = Path(".meltano/loaders/target-duckdb/venv/bin/target-duckdb")
OTHERS = ("plain SDK tap", "the documentation's script", "dlt rest_api (extract)")
RESULTS = Path("benchmarks/RESULTS.md")

console = Console(width=110)


@dataclass(frozen=True)
class Cost:
    """What a run took: seconds of wall clock and of CPU, and its peak of memory in MB."""

    wall: float
    cpu: float
    memory: float


@contextmanager
def serving(conversations: int, latency: float = 0, rate: int = 0) -> Iterator[str]:
    """Run the server in a process of its own; gives its URL."""
    arguments = [
        sys.executable,
        "-m",
        "benchmarks.server",
        str(conversations),
        f"--latency={latency}",
        f"--rate={rate}",
    ]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.kill()


def measure(*command: str | Path) -> Cost:
    """Run a command to its end and see what it took, with all that it started."""
    began = time.monotonic()
    process = subprocess.Popen(  # noqa: S602
        " ".join(map(str, command)), shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    log = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        console.print(log, markup=False)
        sys.exit(f"{command} ended with {status}")
    return Cost(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


@cache
def conversations_catalog() -> str:
    """The tap's catalog with its conversations alone, as JSON."""
    catalog = json.loads(subprocess.check_output([BIN / "tap-deepconverse", "--discover"], stderr=subprocess.DEVNULL))  # noqa: S603
    catalog["streams"] = [stream for stream in catalog["streams"] if stream["tap_stream_id"] == "conversations"]
    return json.dumps(catalog)


def tap(url: str, folder: str, **settings: object) -> str:
    """The command line of this tap, for its conversations alone."""
    span = [datetime.fromtimestamp(moment, UTC).isoformat() for moment in (END - DAYS * 86_400, END + 1)]
    config = {"api_key": "key", "bot_names": ["bot"], "api_url": url, "start_date": span[0], "end_date": span[1]}
    Path(folder, "catalog.json").write_text(conversations_catalog())
    Path(folder, "config.json").write_text(json.dumps({**config, **settings}))
    return f"{BIN}/tap-deepconverse --config {folder}/config.json --catalog {folder}/catalog.json"


def in_turns(contenders: dict[str, Callable[[], Cost]], rounds: int) -> dict[str, Cost]:
    """Run each in turn, some rounds long; gives the medians."""
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    for round_ in range(rounds):
        for name, run in contenders.items():
            costs[name].append(run())
            console.print(f"  round {round_ + 1}: {name}: {costs[name][-1]}", highlight=False)
    return {
        name: Cost(
            *(statistics.median(getattr(cost, field) for cost in of_name) for field in ("wall", "cpu", "memory"))
        )
        for name, of_name in costs.items()
    }


def contenders(url: str, folder: str, **settings: object) -> dict[str, Callable[[], Cost]]:
    """This tap, and what a user would pick instead."""
    fast = tap(url, folder, **settings)
    return {
        "tap-deepconverse": lambda: measure(fast),
        "plain SDK tap": lambda: measure(sys.executable, "-m", "benchmarks.plain_tap", url),
        "the documentation's script": lambda: measure(sys.executable, "-m", "benchmarks.script", url),
        "dlt rest_api (extract)": lambda: measure(DLT, "-m", "benchmarks.with_dlt", url, "extract"),
    }


def cost_table(rounds: int, folder: str) -> Table:
    """(a) What 100,000 conversations cost with no limit and no latency."""
    table = Table("100,000 conversations, no limit, no latency", title_justify="left")
    for heading in ("CPU", "beside plain", "wall", "memory"):
        table.add_column(heading, justify="right")
    with serving(100_000) as url:
        costs = in_turns(contenders(url, folder, requests_per_second=100_000), rounds)
    plain = costs["plain SDK tap"]
    for name, cost in costs.items():
        table.add_row(
            name, f"{cost.cpu:.1f} s", f"{cost.cpu / plain.cpu:.2f}", f"{cost.wall:.1f} s", f"{cost.memory:.0f} MB"
        )
    return table


def limit_table(rounds: int, folder: str) -> Table:
    """(b) Wall time beside the time that the limit itself asks for."""
    conversations, rate = 60_000, 3
    own = conversations / 1000 / rate
    table = Table(f"{conversations:,} conversations in {DAYS} days at {rate} requests a second", title_justify="left")
    for heading in ("answer time", "wall", f"beside the limit's {own:.0f} s", "requests", "refused"):
        table.add_column(heading, justify="right")

    def measured(name: str, latency: float) -> tuple[float, int, int]:
        with serving(conversations, latency, rate) as url:
            wall = contenders(url, tempfile.mkdtemp(dir=folder))[name]().wall
            answered, refused = requests.get(f"{url}/counts", timeout=10).json()
        console.print(f"  {latency} s: {name}: {wall:.1f} s, {answered} requests, {refused} refused", highlight=False)
        return wall, answered, refused

    for latency in (0.1, 0.5, 2.0):
        ours = sorted(measured("tap-deepconverse", latency) for _ in range(rounds))
        # The others mostly wait, so they may do that at the same time.
        with ThreadPoolExecutor() as pool:
            others = pool.map(lambda name: measured(name, latency), OTHERS)  # noqa: B023
        for name, (wall, answered, refused) in zip(
            ("tap-deepconverse", *OTHERS), (ours[rounds // 2], *others), strict=True
        ):
            table.add_row(name, f"{latency} s", f"{wall:.1f} s", f"{wall / own:.2f}", str(answered), str(refused))
    return table


def warehouse_table(rounds: int, folder: str) -> Table:
    """(c) The whole way into DuckDB."""
    table = Table("100,000 conversations into DuckDB, no limit, no latency", title_justify="left")
    for heading in ("CPU", "wall", "memory"):
        table.add_column(heading, justify="right")
    settings = Path(folder, "target.json")
    settings.write_text(json.dumps({"filepath": f"{folder}/warehouse.duckdb", "default_target_schema": "deepconverse"}))
    with serving(100_000) as url:
        fast = tap(url, folder, requests_per_second=100_000)

        def into_duckdb() -> Cost:
            Path(folder, "warehouse.duckdb").unlink(missing_ok=True)
            return measure(fast, "|", TARGET, "--config", settings)

        costs = in_turns(
            {
                "tap-deepconverse and target-duckdb": into_duckdb,
                "dlt rest_api": lambda: measure(DLT, "-m", "benchmarks.with_dlt", url, "run"),
            },
            rounds,
        )
    for name, cost in costs.items():
        table.add_row(name, f"{cost.cpu:.1f} s", f"{cost.wall:.1f} s", f"{cost.memory:.0f} MB")
    return table


def memory_table(rounds: int, folder: str) -> Table:
    """How the peak of memory goes with the size of the backfill."""
    table = Table("memory of this tap, no limit, no latency", title_justify="left")
    table.add_column("peak", justify="right")
    for conversations in (40_000, 400_000):
        with serving(conversations) as url:
            fast = tap(url, folder, requests_per_second=100_000)
            cost = in_turns({f"{conversations:,} conversations": lambda: measure(fast)}, rounds)  # noqa: B023
        table.add_row(f"{conversations:,} conversations", f"{next(iter(cost.values())).memory:.0f} MB")
    return table


def as_markdown(table: Table) -> str:
    """Write a table as Markdown."""
    columns = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    rows = ["| " + " | ".join(cells) + " |" for cells in zip(*columns, strict=True)]
    rule = "| --- |" + " ---: |" * (len(columns) - 1)
    return "\n".join([rows[0], rule, *rows[1:]])


@click.command()
@click.option("--rounds", default=5, show_default=True, help="How many times each is run, in turns.")
def main(rounds: int) -> None:
    """Measure everything, show it, and write it down."""
    with tempfile.TemporaryDirectory() as folder:
        tables = [measured(rounds, folder) for measured in (cost_table, memory_table, limit_table, warehouse_table)]
    for table in tables:
        console.print(table)
    dlt = subprocess.check_output([DLT, "-c", "import dlt; print(dlt.__version__)"], text=True).strip()  # noqa: S603
    RESULTS.write_text(
        "# Benchmarks\n\n"
        f"Measured by `make bench` on {datetime.now(UTC):%Y-%m-%d}: medians of {rounds} rounds, all in turns "
        "in one run. With the limit, the others run once, at the same time, each against a server of its own: they "
        "mostly wait. The server is always a process of its own, and is not counted. Times are those of the whole "
        "process, its start included.\n\n"
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}; "
        f"tap-deepconverse {version('tap-deepconverse')}, singer-sdk {version('singer-sdk')}, "
        f"requests {version('requests')}, dlt {dlt}, target-duckdb 0.8.0.\n\n"
        + "\n\n".join(map(as_markdown, tables))
        + "\n"
    )


if __name__ == "__main__":
    main()
