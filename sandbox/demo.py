"""The main job, seen from beginning to end: Export API -> Meltano -> PostgreSQL -> dbt (`make demo`)."""

import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from sandbox import models
from sandbox.archive import Archive, sample_archive
from sandbox.check import Rows, differences, expected_rows, received_rows
from sandbox.contract import KEY, STREAMS
from sandbox.postgres import NOT_INSTALLED, Database, is_installed, new_folder, server, shell
from sandbox.report import daily_metrics, metrics_table, rows_table
from sandbox.server import Sandbox

FOLDER = Path("output/demo")
DATA = FOLDER / "postgres"
SCHEMA = "deepconverse"
DAYS = 120
QUERY = "SELECT device_family, count(*), avg(duration_seconds) FROM deepconverse__conversations GROUP BY 1;"
QUERY_WITHOUT_MODELS = "SELECT locale, count(*) FROM conversations GROUP BY 1 ORDER BY 2 DESC;"

SPINNER = "line"
"""Made of characters that every terminal has."""

PICTURE = "--picture"
"""Option with the name of an SVG file to write the output to, too."""

console = Console(highlight=False, record=PICTURE in sys.argv)


def main() -> int:
    """Run the job twice, with some life in between, compare the warehouse with the source, and build the models."""
    if not is_installed():
        console.print(f"{NOT_INSTALLED}. The demo needs it; the tap does not.")
        return 1
    data = new_folder(DATA)  # before the rest goes, while the link to root's data is still there
    for path in FOLDER.iterdir():
        if path.is_dir() and path != data:
            shutil.rmtree(path)
        elif path != data:
            path.unlink()
    sandbox = Sandbox(sample_archive(days=DAYS))
    with server(data) as warehouse, sandbox.running() as url:
        console.print(f"The sandbox plays the Export API at {url}, with 3 requests a second for each endpoint.\n")
        run_job("first", url, warehouse)
        first = {stream: warehouse_rows(warehouse, stream) for stream in STREAMS}
        with console.status("The customers go on talking ...", spinner=SPINNER):
            time.sleep(2)
            sandbox.archive.live(int(time.time() * 1000))
            lived = time.monotonic()
            time.sleep(1)
        run_job("second", url, warehouse)
        second = {stream: warehouse_rows(warehouse, stream) for stream in STREAMS}
        wrong = [line for stream in STREAMS for line in differences(expected_rows(sandbox, stream), second[stream])]
        if wrong:
            console.print(
                f"[red]The warehouse and the source differ in {len(wrong)} rows:[/red]", *wrong[:10], sep="\n"
            )
            return 1
        total = sum(map(len, second.values()))
        console.print(
            f"Compared with the source row by row: all {total:,} rows are there, and every value is the same."
        )
        if models.is_installed():
            build_models(warehouse, sandbox.archive, lived)
        console.print("", rows_table(first, second), "")
        if models.is_installed():
            console.print(metrics_table(daily_metrics(warehouse), console), "")
        else:
            console.print(f"The models are left out. {models.NOT_INSTALLED}.")
    console.print("To look further, open a shell on the database with [bold]make psql[/bold], and try for example:\n")
    console.print(f"  {QUERY if models.is_installed() else QUERY_WITHOUT_MODELS}\n", soft_wrap=True)
    return 0


def run_job(which: str, url: str, warehouse: Database) -> None:
    """Run `meltano run tap-deepconverse target-postgres`."""
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
    with console.status(f"{' '.join(command)} (the {which} run) ...", spinner=SPINNER), log.open("w") as output:
        status = subprocess.run(command, env=environment, stdout=output, stderr=output, check=False).returncode  # noqa: S603
    if status:
        console.print(log.read_text(), markup=False)
        console.print(f"[red]The {which} run failed with status {status}.[/red]")
        sys.exit(1)
    console.print(f"{' '.join(command)}: the {which} run took {time.monotonic() - began:.0f} s; its log is {log}.")


def build_models(warehouse: Database, archive: Archive, lived: float) -> None:
    """Run `dbt build`, and say how long the newest conversation took from the source to the models."""
    folder = FOLDER / "dbt"
    folder.mkdir()
    began = time.monotonic()
    with console.status("dbt build ...", spinner=SPINNER):
        done = models.run_dbt(models.in_postgres(warehouse), folder.absolute(), "build")
    conversations = [each for records in archive.conversations.values() for each in records.values()]
    newest = max(conversations, key=lambda conversation: conversation["startTime"])["_id"]
    query = f"SELECT * FROM {models.SCHEMA}.deepconverse__conversations WHERE conversation_id = '{newest}'"  # noqa: S608
    if done.returncode or not warehouse.execute(query):
        console.print(done.stdout, done.stderr, markup=False)
        console.print("[red]dbt build failed, or has not built all rows.[/red]")
        sys.exit(1)
    now = time.monotonic()
    built, passed = models.counts(folder)
    console.print(f"dbt build: {built} models built and {passed} tests passed in {now - began:.0f} s; see {folder}.")
    console.print(f"From a new conversation in the source to its row in the models: {now - lived:.0f} s.")


def warehouse_rows(warehouse: Database, stream: str) -> Rows:
    """Read a table of a warehouse."""
    return received_rows(warehouse.execute(f"SELECT * FROM {SCHEMA}.{stream}"))  # noqa: S608


def look() -> int:
    """Open a shell on the demo's database (`make psql`)."""
    if not (DATA / "PG_VERSION").exists():
        console.print("There is no demo database yet: run [bold]make demo[/bold] first.")
        return 1
    return shell(DATA, f"{models.SCHEMA},{SCHEMA}")


if __name__ == "__main__":
    status = look() if sys.argv[1:] == ["psql"] else main()
    if console.record:
        console.save_svg(sys.argv[-1], title="make demo")
    sys.exit(status)
