"""A plain tap of the same SDK, as its project template would give it, for the same stream.

Run as `python -m benchmarks.plain_tap URL START END BOT...`, the span in Unix seconds.
"""

import sys
from typing import Any

from singer_sdk import RESTStream, Stream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.pagination import JSONPathPaginator
from typing_extensions import override

from sandbox.contract import CURSOR, DATA, ENDPOINTS, KEY_HEADER, MOST_PER_PAGE, parameters


class Conversations(RESTStream[Any]):
    """Conversations, one page after another, one bot after another."""

    name = "conversations"
    path = ENDPOINTS["conversations"].path
    primary_keys = ("_id",)
    replication_key = None
    records_jsonpath = f"$.{DATA}[*]"
    schema = th.PropertiesList(
        th.Property("_id", th.StringType, required=True),
        th.Property("startTime", th.IntegerType),
        th.Property("lastActionAt", th.IntegerType),
        th.Property("locale", th.StringType),
        th.Property("tags", th.ArrayType(th.StringType)),
        th.Property("metadata", th.CustomType({"type": ["object", "null"], "additionalProperties": True})),
        th.Property("bot_name", th.StringType),
        additional_properties=True,
    ).to_dict()

    @property
    @override
    def url_base(self) -> str:
        return str(self.config["api_url"])

    @property
    @override
    def partitions(self) -> list[dict[str, str]]:
        return [{"bot_name": bot_name} for bot_name in self.config["bot_names"]]

    @property
    @override
    def authenticator(self) -> APIKeyAuthenticator:
        return APIKeyAuthenticator(key=KEY_HEADER, value="key")

    @override
    def get_new_paginator(self) -> JSONPathPaginator:
        return JSONPathPaginator(f"$.{CURSOR}")

    @override
    def get_url_params(self, context: Any, next_page_token: Any) -> dict[str, Any]:
        return parameters(
            start_time=self.config["start"], end_time=self.config["end"], bot_name=context["bot_name"],
            per_page=MOST_PER_PAGE, cursor=next_page_token,
        )  # fmt: skip


class PlainTap(Tap):
    """A plain tap."""

    name = "tap-plain"
    config_jsonschema = th.PropertiesList(
        th.Property("api_url", th.StringType),
        th.Property("start", th.StringType),
        th.Property("end", th.StringType),
        th.Property("bot_names", th.ArrayType(th.StringType)),
    ).to_dict()

    @override
    def discover_streams(self) -> list[Stream]:
        return [Conversations(self)]


if __name__ == "__main__":
    url, start, end, *bot_names = sys.argv[1:]
    PlainTap(config={"api_url": url, "start": start, "end": end, "bot_names": bot_names}).sync_all()
