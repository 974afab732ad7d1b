"""Run the sandbox from the command line: `python -m sandbox`."""

from __future__ import annotations

import json
import threading
from contextlib import suppress

import click

from sandbox.archive import sample_archive
from sandbox.server import KEY, ORDERS, SELECT_BY, TIME_FORMATS, Behaviour, Order, Sandbox, SelectBy, TimeFormat


@click.command()
@click.option("--port", default=8210, show_default=True, help="Port on loopback; 0 takes a free one.")
@click.option("--conversations", default=10_000, show_default=True, help="How many to begin with.")
@click.option("--days", default=120, show_default=True, help="Over how many days they spread.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same data.")
@click.option("--select-by", type=click.Choice(SELECT_BY), default="lastActionAt", show_default=True)
@click.option("--order", type=click.Choice(ORDERS), default="none", show_default=True)
@click.option("--end", type=click.Choice(["in", "out"]), default="out", show_default=True, help="Is end_time in?")
@click.option("--times", type=click.Choice(TIME_FORMATS), default="seconds", show_default=True)
@click.option("--rate", default=3, show_default=True, help="Requests a second per endpoint; 0 is no limit.")
@click.option("--latency", default=0.0, show_default=True, help="Seconds that every response takes.")
def main(  # noqa: PLR0913
    *,
    port: int,
    conversations: int,
    days: int,
    seed: int,
    select_by: SelectBy,
    order: Order,
    end: str,
    times: TimeFormat,
    rate: int,
    latency: float,
) -> None:
    """Serve a local Export API with ongoing conversations, until interrupted."""
    archive = sample_archive(conversations, days, seed=seed)
    behaviour = Behaviour(select_by, order, end == "in", times, rate, latency)
    with Sandbox(archive, behaviour, is_living=True).running(port) as url:
        click.echo(f"api_url    {url}")
        click.echo(f"api_key    {KEY}")
        click.echo(f"bot_names  {json.dumps(list(archive.conversations))}")
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
