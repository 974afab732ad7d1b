"""dlt's `rest_api` source for the same stream: extract only, or the whole way into PostgreSQL."""

import os
import tempfile

import click

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

import dlt
from dlt.sources.rest_api import rest_api_source

from sandbox.contract import CURSOR, DATA, ENDPOINTS, ID, KEY_HEADER, MOST_PER_PAGE, PARAMETERS, parameters


@click.command()
@click.argument("url")
@click.argument("start", type=int)
@click.argument("end", type=int)
@click.argument("bots", nargs=-1, required=True)
@click.option("--into", help="The PostgreSQL database to load into. By default nothing is loaded.")
def main(url: str, start: int, end: int, bots: tuple[str, ...], into: str | None) -> None:
    """Read the conversations of BOTS from START to END, in Unix seconds."""
    source = rest_api_source(
        {
            "client": {
                "base_url": url,
                "headers": {KEY_HEADER: "key"},
                "paginator": {"type": "cursor", "cursor_path": CURSOR, "cursor_param": PARAMETERS["cursor"]},
            },
            "resources": [
                {
                    "name": f"conversations_{bot}",
                    "table_name": "conversations",
                    "primary_key": ID,
                    "write_disposition": "merge",
                    "max_table_nesting": 0,
                    "endpoint": {
                        "path": ENDPOINTS["conversations"].path,
                        "data_selector": DATA,
                        "params": parameters(start_time=start, end_time=end, bot_name=bot, per_page=MOST_PER_PAGE),
                    },
                }
                for bot in bots
            ],
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            "benchmark",
            pipelines_dir=folder,
            destination=dlt.destinations.postgres(into) if into else None,
            dataset_name="deepconverse",
        )
        if into:
            pipeline.run(source)
        else:
            pipeline.extract(source)


if __name__ == "__main__":
    main()
