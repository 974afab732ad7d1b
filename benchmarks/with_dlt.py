"""dlt's `rest_api` source for the same stream: extract only, or the whole way into PostgreSQL."""

from __future__ import annotations

import os
import tempfile

import click

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

import dlt
from dlt.sources.rest_api import rest_api_source


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
                "headers": {"x-api-key": "key"},
                "paginator": {"type": "cursor", "cursor_path": "cursor", "cursor_param": "cursor"},
            },
            "resources": [
                {
                    "name": f"conversations_{bot}",
                    "table_name": "conversations",
                    "primary_key": "_id",
                    "write_disposition": "merge",
                    "max_table_nesting": 0,
                    "endpoint": {
                        "path": "conversations/export/v1/conversations",
                        "data_selector": "data",
                        "params": {"start_time": start, "end_time": end, "bot_name": bot, "per_page": 1000},
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
