"""The main job, seen from beginning to end: Export API -> Meltano -> DuckDB (`make demo`)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from sandbox.archive import sample_archive
from sandbox.check import Rows, differences, expected_rows, received_rows
from sandbox.server import KEY, Sandbox

FOLDER = Path("output/demo")
DATABASE = FOLDER / "warehouse.duckdb"
SCHEMA = "deepconverse"
DAYS = 120
STREAMS = ("conversations", "messages")
OUTCOMES = ("resolved", "informed", "liveChat")
TAGS = f"FROM {SCHEMA}.conversations SELECT bot_name, unnest(tags::VARCHAR[]) AS tag"
QUERY = f"FROM ({TAGS}) SELECT tag, count(*) GROUP BY ALL ORDER BY ALL"

console = Console(highlight=False)


def main() -> int:
    """Run the job twice, with some life in between, and hold the warehouse against the source.

    Returns:
        The exit status: 0 if the warehouse holds just what the source holds.
    """
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    sandbox = Sandbox(sample_archive(days=DAYS))
    with sandbox.running() as url:
        console.print(f"The sandbox plays the Export API at {url}, with 3 requests a second for each endpoint.\n")
        run_job("first", url)
        first = {stream: warehouse_rows(DATABASE, stream) for stream in STREAMS}
        with console.status("The customers go on talking …"):
            time.sleep(2)
            sandbox.archive.live(int(time.time() * 1000))
            time.sleep(1)
        run_job("second", url)
        second = {stream: warehouse_rows(DATABASE, stream) for stream in STREAMS}

    console.print()
    console.print(rows_table(first, second))
    console.print(outcomes_table(second["conversations"]))
    wrong = [line for stream in STREAMS for line in differences(expected_rows(sandbox, stream), second[stream])]
    if wrong:
        console.print(f"[red]The warehouse and the source differ in {len(wrong)} rows:[/red]", *wrong[:10], sep="\n")
        return 1
    total = sum(map(len, second.values()))
    console.print(f"Held against the source row by row: all {total:,} rows are there, and every value is the same.\n")
    connect = f"import duckdb; warehouse = duckdb.connect('{DATABASE}')"
    code = f"{connect}; warehouse.sql('{QUERY}').show()"
    console.print(f"The database is {DATABASE}. Try this, for example:\n")
    print(f'  .venv/bin/python -c "{code}"\n', flush=True)  # noqa: T201
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
    return 0


def run_job(which: str, url: str) -> None:
    """Run `meltano run tap-deepconverse target-duckdb`.

    Args:
        which: A name for the run.
        url: Where the Export API is.

    Raises:
        SystemExit: If the job fails; its log is shown first.
    """
    command = ["meltano", "run", "tap-deepconverse", "target-duckdb"]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MELTANO_DATABASE_URI": f"sqlite:///{(FOLDER / 'meltano.db').absolute()}",
        "TAP_DEEPCONVERSE_API_URL": url,
        "TAP_DEEPCONVERSE_API_KEY": KEY,
        "TAP_DEEPCONVERSE_BOT_NAMES": '["shop-assistant", "r3-218210"]',
        "TAP_DEEPCONVERSE_START_DATE": (datetime.now(UTC) - timedelta(days=DAYS + 1)).date().isoformat(),
        "TARGET_DUCKDB_FILEPATH": str(DATABASE),
        "TARGET_DUCKDB_DEFAULT_TARGET_SCHEMA": SCHEMA,
    }
    log = FOLDER / f"{which}-run.log"
    began = time.monotonic()
    with console.status(f"{' '.join(command)} (the {which} run) …"), log.open("w") as output:
        status = subprocess.run(command, env=environment, stdout=output, stderr=output, check=False).returncode  # noqa: S603
    if status:
        console.print(log.read_text(), markup=False)
        console.print(f"[red]The {which} run failed with status {status}.[/red]")
        sys.exit(1)
    console.print(f"{' '.join(command)}: the {which} run took {time.monotonic() - began:.0f} s; its log is {log}.")


def warehouse_rows(database: Path, stream: str) -> Rows:
    """Read a table of a warehouse.

    Args:
        database: The DuckDB database.
        stream: The stream that filled it.

    Returns:
        Its rows, by their `_id`.
    """
    with duckdb.connect(str(database), read_only=True) as connection:
        result = connection.execute(f"SELECT * FROM {SCHEMA}.{stream}")  # noqa: S608
        columns = [column[0] for column in result.description or ()]
        return received_rows(dict(zip(columns, row, strict=True)) for row in result.fetchall())


def rows_table(first: dict[str, Rows], second: dict[str, Rows]) -> Table:
    """Show how many rows there are, and what the second run picked up.

    Args:
        first: The rows of each stream after the first run.
        second: The same after the second.

    Returns:
        A table with a line for each bot and stream.
    """
    table = Table(
        "bot", "stream", title="Rows in the warehouse, after the first run and the second", title_justify="left"
    )
    for heading in ("first run", "new since", "updated since", "in all"):
        table.add_column(heading, justify="right")
    for bot_name in sorted({row["bot_name"] for row in second["conversations"].values()}):
        for stream in STREAMS:
            old = {key: row for key, row in first[stream].items() if row["bot_name"] == bot_name}
            now = {key: row for key, row in second[stream].items() if row["bot_name"] == bot_name}
            updated = sum(row != now[key] for key, row in old.items())
            table.add_row(bot_name, stream, *(f"{n:,}" for n in (len(old), len(now) - len(old), updated, len(now))))
    return table


def outcomes_table(conversations: Rows) -> Table:
    """Show how the conversations ended.

    Args:
        conversations: Their rows.

    Returns:
        A table with a line for each bot.
    """
    table = Table("bot", title="How the conversations ended (a conversation may count twice)", title_justify="left")
    for heading in ("resolved", "informed", "to a live agent", "conversations"):
        table.add_column(heading, justify="right")
    ended = Counter((row["bot_name"], tag) for row in conversations.values() for tag in row["tags"])
    for bot_name, total in sorted(Counter(row["bot_name"] for row in conversations.values()).items()):
        counts = [ended[bot_name, tag] for tag in OUTCOMES]
        table.add_row(bot_name, *(f"{n:,} ({n / total:.0%})" for n in counts), f"{total:,}")
    return table


if __name__ == "__main__":
    sys.exit(main())
