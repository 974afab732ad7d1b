"""The main job, seen from beginning to end: Export API -> Meltano -> PostgreSQL (`make demo`)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from sandbox.archive import sample_archive
from sandbox.check import Rows, differences, expected_rows, received_rows
from sandbox.postgres import NOT_INSTALLED, is_installed, new_folder, server, shell
from sandbox.server import KEY, Sandbox

if TYPE_CHECKING:
    from sandbox.postgres import Database

FOLDER = Path("output/demo")
DATA = FOLDER / "postgres"
SCHEMA = "deepconverse"
DAYS = 120
STREAMS = ("conversations", "messages")
OUTCOMES = ("resolved", "informed", "liveChat")
QUERY = "SELECT locale, count(*) FROM conversations GROUP BY 1 ORDER BY 2 DESC;"

console = Console(highlight=False)


def main() -> int:
    """Run the job twice, with some life in between, and compare the warehouse with the source.

    Returns:
        The exit status: 0 if the warehouse holds just what the source holds.
    """
    if not is_installed():
        console.print(f"{NOT_INSTALLED}. The demo needs it; the tap does not.")
        return 1
    data = new_folder(DATA)  # before the rest goes, while the link to root's data is still there
    for path in FOLDER.iterdir():
        if path != data:
            path.unlink()
    sandbox = Sandbox(sample_archive(days=DAYS))
    with server(data) as warehouse, sandbox.running() as url:
        console.print(f"The sandbox plays the Export API at {url}, with 3 requests a second for each endpoint.\n")
        run_job("first", url, warehouse)
        first = {stream: warehouse_rows(warehouse, stream) for stream in STREAMS}
        with console.status("The customers go on talking …"):
            time.sleep(2)
            sandbox.archive.live(int(time.time() * 1000))
            time.sleep(1)
        run_job("second", url, warehouse)
        second = {stream: warehouse_rows(warehouse, stream) for stream in STREAMS}

    wrong = [line for stream in STREAMS for line in differences(expected_rows(sandbox, stream), second[stream])]
    if wrong:
        console.print(f"[red]The warehouse and the source differ in {len(wrong)} rows:[/red]", *wrong[:10], sep="\n")
        return 1
    total = sum(map(len, second.values()))
    console.print(f"Compared with the source row by row: all {total:,} rows are there, and every value is the same.\n")
    console.print(rows_table(first, second))
    console.print(outcomes_table(second["conversations"]))
    console.print("To look further, open a shell on the database with [bold]make psql[/bold], and try for example:\n")
    console.print(f"  {QUERY}\n", soft_wrap=True)
    return 0


def run_job(which: str, url: str, warehouse: Database) -> None:
    """Run `meltano run tap-deepconverse target-postgres`.

    Args:
        which: A name for the run.
        url: Where the Export API is.
        warehouse: Where to load into.

    Raises:
        SystemExit: If the job fails; its log is shown first.
    """
    command = ["meltano", "run", "tap-deepconverse", "target-postgres"]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MELTANO_DATABASE_URI": f"sqlite:///{(FOLDER / 'meltano.db').absolute()}",
        "TAP_DEEPCONVERSE_API_URL": url,
        "TAP_DEEPCONVERSE_API_KEY": KEY,
        "TAP_DEEPCONVERSE_BOT_NAMES": '["shop-assistant", "r3-218210"]',
        "TAP_DEEPCONVERSE_START_DATE": (datetime.now(UTC) - timedelta(days=DAYS + 1)).date().isoformat(),
        "TARGET_POSTGRES_SQLALCHEMY_URL": warehouse.sqlalchemy_url,
        "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": SCHEMA,
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


def warehouse_rows(warehouse: Database, stream: str) -> Rows:
    """Read a table of a warehouse.

    Args:
        warehouse: The database.
        stream: The stream that filled it.

    Returns:
        Its rows, by their `_id`.
    """
    return received_rows(warehouse.execute(f"SELECT * FROM {SCHEMA}.{stream}"))  # noqa: S608


def rows_table(first: dict[str, Rows], second: dict[str, Rows]) -> Table:
    """Show how many rows there are, and what the second run picked up.

    Args:
        first: The rows of each stream after the first run.
        second: The same after the second.

    Returns:
        A table with a line for each bot and stream.
    """
    table = Table("bot", "stream", title="Rows in the warehouse after two runs", title_justify="left")
    for heading in ("first run", "then new", "updated", "in all"):
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


def look() -> int:
    """Open a shell on the demo's database (`make psql`).

    Returns:
        The exit status.
    """
    if not (DATA / "PG_VERSION").exists():
        console.print("There is no demo database yet: run [bold]make demo[/bold] first.")
        return 1
    return shell(DATA, SCHEMA)


if __name__ == "__main__":
    sys.exit(look() if sys.argv[1:] == ["psql"] else main())
