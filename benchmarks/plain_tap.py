"""A plain tap of the same SDK, as its project template would give it, for the same stream."""

from __future__ import annotations

import sys
from typing import Any

from singer_sdk import RESTStream, Stream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.pagination import JSONPathPaginator
from typing_extensions import override

from benchmarks.server import END
from tap_deepconverse.streams import Conversations as Schema


class Conversations(RESTStream[Any]):
    """Conversations, one page after another."""

    name = "conversations"
    path = "/conversations/export/v1/conversations"
    primary_keys = ("_id",)
    replication_key = None
    records_jsonpath = "$.data[*]"
    schema = {  # noqa: RUF012
        **Schema.schema,
        "properties": {
            **Schema.schema["properties"],
            "startTime": {"type": ["integer", "null"]},
            "lastActionAt": {"type": ["integer", "null"]},
        },
    }

    @property
    @override
    def url_base(self) -> str:
        return str(self.config["api_url"])

    @property
    @override
    def authenticator(self) -> APIKeyAuthenticator:
        return APIKeyAuthenticator(key="x-api-key", value="key")

    @override
    def get_new_paginator(self) -> JSONPathPaginator:
        return JSONPathPaginator("$.cursor")

    @override
    def get_url_params(self, context: Any, next_page_token: Any) -> dict[str, Any]:
        span = {"start_time": END - 90 * 86_400, "end_time": END + 1}
        return {"bot_name": "bot", "per_page": 1000, **span, "cursor": next_page_token}


class PlainTap(Tap):
    """A plain tap."""

    name = "tap-plain"
    config_jsonschema = th.PropertiesList(th.Property("api_url", th.StringType)).to_dict()

    @override
    def discover_streams(self) -> list[Stream]:
        return [Conversations(self)]


if __name__ == "__main__":
    PlainTap(config={"api_url": sys.argv[1]}).sync_all()
