"""dlt's `rest_api` source for the same stream: extract only, or the whole way into DuckDB."""

from __future__ import annotations

import os
import sys
import tempfile

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

import dlt
from dlt.sources.rest_api import rest_api_source

from benchmarks.server import END

url, mode = sys.argv[1:3]
source = rest_api_source(
    {
        "client": {
            "base_url": url,
            "headers": {"x-api-key": "key"},
            "paginator": {"type": "cursor", "cursor_path": "cursor", "cursor_param": "cursor"},
        },
        "resources": [
            {
                "name": "conversations",
                "primary_key": "_id",
                "write_disposition": "merge",
                "max_table_nesting": 0,
                "endpoint": {
                    "path": "conversations/export/v1/conversations",
                    "data_selector": "data",
                    "params": {
                        "start_time": END - 90 * 86_400,
                        "end_time": END + 1,
                        "bot_name": "bot",
                        "per_page": 1000,
                    },
                },
            }
        ],
    }
)
folder = tempfile.mkdtemp()
destination = dlt.destinations.duckdb(f"{folder}/warehouse.duckdb")
pipeline = dlt.pipeline("benchmark", pipelines_dir=folder, destination=destination, dataset_name="deepconverse")
if mode == "extract":
    pipeline.extract(source)
else:
    pipeline.run(source)
