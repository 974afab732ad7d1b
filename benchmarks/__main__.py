"""Measure, and write `benchmarks/RESULTS.md`: `make bench`."""

import os
import platform
import subprocess
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click
from rich.table import Table

from benchmarks import tables
from benchmarks.contenders import DLT
from benchmarks.data import ORDERS, SHAPES, Data
from benchmarks.measure import console

RESULTS = Path("benchmarks/RESULTS.md")
SCENARIOS = {
    "hourly": tables.hourly,
    "backfill": tables.backfill,
    "uneven": tables.uneven,
    "long": tables.long,
    "small": tables.small,
    "cpu": tables.cpu,
    "memory": tables.memory,
    "warehouse": tables.warehouse,
}
INTRODUCTION = """\
# Benchmarks

Measured by `make bench` on {date}, against a stand-in for the Export API that runs in its own process. Numbers are
medians of {rounds} rounds. Three are single runs: the backfill of 600,000 conversations, and the alternatives in the
tables with a minimum time, where they run at the same time, each against its own server, because they mostly wait.
Times are those of the whole process, including its start. CPU and memory exclude the API and the PostgreSQL server;
memory is the peak of the largest process.

The API's limit is 3 requests a second. **Minimum time** is the fewest requests that the data needs, divided by 3, plus
the time of one answer where an answer takes 2 s or more. **Ratio** is wall time divided by minimum time. **Refused**
counts responses with status 429, and **at once** is the highest number of concurrent requests. An hourly run reads one
day of lookback and the new hour. The **first run** has a state with bookmarks only; **later runs** have the state that
the run an hour earlier wrote.

{versions}
"""


def as_markdown(table: Table) -> str:
    """Write a table as Markdown."""
    columns = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    rows = ["| " + " | ".join(cells) + " |" for cells in zip(*columns, strict=True)]
    rule = "| --- |" + " ---: |" * (len(columns) - 1)
    return "\n".join([rows[0], rule, *rows[1:]])


def versions() -> str:
    """Name the versions of what is measured, and the machine."""
    names = ("tap-deepconverse", "singer-sdk", "requests")
    elsewhere = {"dlt": DLT, "meltanolabs-target-postgres": tables.TARGET.parent / "python"}
    read = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    found = [f"{name} {version(name)}" for name in names] + [
        f"{name} {subprocess.check_output([python, '-c', read, name], text=True).strip()}"  # noqa: S603
        for name, python in elsewhere.items()
    ]
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()};"
    return f"{machine}\n{', '.join(found)}."


@click.command()
@click.option("--rounds", default=5, show_default=True, help="How many times each is run, in turns.")
@click.option("--only", multiple=True, type=click.Choice(list(SCENARIOS)), help="Run these, and write no file.")
@click.option("--shape", default="rhythm", type=click.Choice(SHAPES), show_default=True, help="Traffic over time.")
@click.option("--order", default="rising", type=click.Choice(ORDERS), show_default=True, help="Order of the records.")
def main(*, rounds: int, only: tuple[str, ...], shape: str, order: str) -> None:
    """Measure everything, show it, and write benchmarks/RESULTS.md.

    With other data, as with --only, the tables are shown and the file is not written.
    """
    data = Data(0, shape=shape, order=order)
    measured: list[Table] = []
    with tempfile.TemporaryDirectory() as folder:
        plan = tables.Plan(rounds, folder, data)
        for name in only or SCENARIOS:
            console.print(name)
            measured += SCENARIOS[name](plan)
    for table in measured:
        console.print(table)
    if only or data != Data(0):
        return
    introduction = INTRODUCTION.format(date=f"{datetime.now(UTC):%Y-%m-%d}", rounds=rounds, versions=versions())
    RESULTS.write_text("\n\n".join([introduction.rstrip(), *map(as_markdown, measured)]) + "\n")


if __name__ == "__main__":
    main()
