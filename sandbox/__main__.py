"""Run the sandbox from the command line: `python -m sandbox`."""

import json
import threading
from contextlib import suppress
from typing import Any

import click

from sandbox.archive import sample_archive
from sandbox.contract import KEY
from sandbox.server import ORDERS, SELECT_BY, TIME_FORMATS, Behaviour, Sandbox

DEFAULT = Behaviour()


@click.command(epilog=f"What --set can set, and how: {DEFAULT}")
@click.option("--port", default=8210, show_default=True, help="Port on loopback; 0 takes a free one.")
@click.option("--conversations", default=10_000, show_default=True, help="How many to begin with.")
@click.option("--days", default=120, show_default=True, help="Over how many days they spread.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same data.")
@click.option("--select-by", type=click.Choice(SELECT_BY), default=DEFAULT.select_by, show_default=True)
@click.option("--order", type=click.Choice(ORDERS), default=DEFAULT.order, show_default=True)
@click.option("--times", type=click.Choice(TIME_FORMATS), default=DEFAULT.times, show_default=True)
@click.option("--rate", "requests_per_second", default=3, show_default=True, help="Requests a second; 0 is no limit.")
@click.option("--latency", default=0.0, show_default=True, help="Seconds that every response takes.")
@click.option("--set", "others", multiple=True, metavar="NAME=JSON", help="Another behaviour: per_query=10000.")
def main(*, port: int, conversations: int, days: int, seed: int, others: tuple[str, ...], **behaves: Any) -> None:
    """Serve a local Export API with ongoing conversations, until interrupted."""
    archive = sample_archive(conversations, days, seed=seed)
    named = {name: json.loads(value) for name, _, value in (other.partition("=") for other in others)}
    with Sandbox(archive, Behaviour(**behaves, **named), is_living=True).running(port) as url:
        click.echo("In place of the README's lines of the same settings:")
        click.echo(f"$ echo 'TAP_DEEPCONVERSE_API_KEY={KEY}' >> .env")
        click.echo(f"$ meltano config set tap-deepconverse api_url {url}")
        click.echo(f"$ meltano config set tap-deepconverse bot_names '{json.dumps(list(archive.conversations))}'")
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
