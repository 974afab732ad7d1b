"""The tables that the demo shows: what the runs have loaded, and the daily metrics of the models."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from sandbox.archive import Record
from sandbox.check import Rows
from sandbox.postgres import Database

NEWEST = """\
SELECT * FROM analytics.deepconverse__daily_totals
WHERE day BETWEEN (now() AT TIME ZONE 'UTC')::date - 14 AND (now() AT TIME ZONE 'UTC')::date - 1 ORDER BY day
"""
REST, SHORT, LONG = 62, 4, 40
"""How many columns all but the bars and the numbers before them takes; how long a full bar is at least, and at most."""

EIGHTHS = "▏▎▍▌▋▊▉█"


def rows_table(first: dict[str, Rows], second: dict[str, Rows]) -> Table:
    """Show how many rows there are, and what the second run picked up."""
    table = Table("bot", "stream", title="Rows in the warehouse after two runs", title_justify="left")
    for heading in ("first run", "then new", "updated", "in all"):
        table.add_column(heading, justify="right")
    for bot_name in sorted({row["bot_name"] for row in second["conversations"].values()}):
        for stream, rows in second.items():
            old = {key: row for key, row in first[stream].items() if row["bot_name"] == bot_name}
            now = {key: row for key, row in rows.items() if row["bot_name"] == bot_name}
            updated = sum(row != now[key] for key, row in old.items())
            table.add_row(bot_name, stream, *(f"{n:,}" for n in (len(old), len(now) - len(old), updated, len(now))))
    return table


def daily_metrics(warehouse: Database) -> list[Record]:
    """Read the metrics of the last two weeks."""
    return warehouse.execute(NEWEST)


def metrics_table(days: Sequence[Record], console: Console) -> Table:
    """Show the metrics, with a bar for the volume of each day."""
    table = Table(
        title="The two weeks up to yesterday, from deepconverse__daily_totals",
        title_justify="left",
    )
    table.add_column("day (UTC)", no_wrap=True)
    table.add_column("conversations", no_wrap=True)
    for heading in ("self-service", "handed over", "median first\nresponse"):
        table.add_column(heading, justify="right", no_wrap=True)
    most = max((day["conversations"] for day in days), default=1)
    digits = len(f"{most:,}")
    width = min(max(console.width - REST - digits, SHORT), LONG)
    for day in days:
        seconds = day["median_first_response_seconds"]
        table.add_row(
            f"{day['day']:%a %d %b}",
            f"{day['conversations']:>{digits},} [cyan]{bar(day['conversations'] / most, width, console)}[/cyan]",
            f"{day['self_service_rate']:.0%}",
            f"{day['handed_over_rate']:.0%}",
            "" if seconds is None else f"{seconds:.0f} s",
        )
    return table


def bar(share: float, width: int, console: Console) -> str:
    """Draw a bar, in eighths of a character where the terminal has such characters."""
    if console.options.ascii_only:
        return "#" * max(round(share * width), share > 0)
    whole, eighths = divmod(max(round(share * width * 8), share > 0), 8)
    return EIGHTHS[-1] * whole + (EIGHTHS[eighths - 1] if eighths else "")
