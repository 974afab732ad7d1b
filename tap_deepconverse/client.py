"""The SDK's hooks for an endpoint of the Export API: one request and its response."""

from __future__ import annotations

import logging
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk import RESTStream
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.exceptions import ConfigurationError, RetriableAPIError
from singer_sdk.helpers._catalog import pop_deselected_record_properties
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.streams.rest import PageContext
from typing_extensions import override

from tap_deepconverse.api.errors import raise_for_status
from tap_deepconverse.api.redact import own_words
from tap_deepconverse.api.retry import RetryPolicy
from tap_deepconverse.api.sender import Sender
from tap_deepconverse.api.session import new_session
from tap_deepconverse.extract.windows import Window
from tap_deepconverse.extraction import Extraction
from tap_deepconverse.pagination import CursorPaginator
from tap_deepconverse.records.page import InvalidPageError, page_of
from tap_deepconverse.singer.stream_maps import explained_maps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import requests
    from singer_sdk import Tap
    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig
    from singer_sdk.helpers.types import Auth, Context, Record, RequestFunc
    from singer_sdk.mapper import StreamMap


class ExportStream(RESTStream[str | None]):
    """An endpoint of the Export API, read in windows. Each bot is a partition with its own bookmark.

    Facts about the API come from its public documentation: base URL, key, parameters, the fields `data` and `cursor`,
    the limits.
    """

    allow_redirects = False  # `requests` would send the key to the redirect's target

    # The SDK calls a stream sorted if its bookmark is valid after an interruption. This one's is: the records come in
    # no order, but the bookmark moves at checkpoints only.
    is_sorted = True
    check_sorted = False

    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # the records conform already; a second check would cost time
    emit_activate_version_messages = False  # a target would delete older rows, also those of a bot that then fails
    retry_policy = RetryPolicy()
    """How long to retry a request."""

    begin_key = ""
    """Field with the time when the conversation began, if the stream has one beside the replication key."""

    @override
    def __init__(self, tap: Tap) -> None:
        super().__init__(tap)
        self.extraction = Extraction(self, tap)
        self._of_this_thread = threading.local()

    @property
    @override
    def partitions(self) -> list[dict[str, str]]:
        return [{"bot_name": bot_name} for bot_name in dict.fromkeys(self.config["bot_names"])]

    @override
    def get_records(self, context: Context | None) -> Iterator[Record]:
        """Yield a bot's records, conformed to the schema: see `Extraction.records`."""
        return self.extraction.records(context or {})

    @override
    def _increment_stream_state(self, latest_record: Record, *, context: Context | None = None) -> None:
        # Private, as there is no public hook. The SDK would move the bookmark with each record, which is right only if
        # records come in order. Here checkpoints move it.
        pass

    @override
    def get_batches(
        self, batch_config: BatchConfig, context: Context | None = None
    ) -> Iterable[tuple[BaseBatchFileEncoding, list[str]]]:
        """Write the records to files, and hold checkpoints back until the target has the files' names."""
        if len(self.stream_maps) > 1:
            msg = f"`stream_maps` makes several streams of '{self.name}', which is not possible with `batch_config`."
            raise ConfigurationError(msg)
        checkpoints = self.extraction.checkpoints
        checkpoints.hold_back()
        for batch in super().get_batches(batch_config, context):
            reached = checkpoints.release()
            yield batch
            checkpoints.move_all(reached)
        checkpoints.move_all(checkpoints.release())

    @override
    def post_process(self, row: Record, context: Context | None = None) -> Record | None:
        """Select and map a record for a batch file: the SDK does this only for messages."""
        if not self.config.get("batch_config"):
            return row
        pop_deselected_record_properties(row, self.schema, self.mask)
        return self.stream_maps[0].transform(row)

    @cached_property
    def _explained_maps(self) -> list[StreamMap]:
        return explained_maps(super().stream_maps, self.name, self.config.get("stream_maps"))

    @property
    @override
    def stream_maps(self) -> list[StreamMap]:
        return self._explained_maps

    # --- One request and its response ---

    @property
    @override
    def requests_session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._of_this_thread, "session", None)
        if session is None:
            session = self._of_this_thread.session = new_session(self.url_base)
        return session

    @property
    @override
    def url_base(self) -> str:
        return f"{self.config['api_url'].rstrip('/')}/conversations/export/v1"

    @property
    @override
    def authenticator(self) -> Auth:
        return APIKeyAuthenticator(key="x-api-key", value=self.config["api_key"])

    @property
    @override
    def timeout(self) -> int:
        return int(self.config["request_timeout"])

    @override
    def get_new_paginator(self) -> CursorPaginator:
        return CursorPaginator()

    @override
    def get_url_params(self, context: Context | None, next_page_token: str | None) -> dict[str, Any]:
        """Return the documented parameters. The context has all of them but `cursor`; times are Unix seconds."""
        return {**(context or {}), "cursor": next_page_token}

    @override
    def request_decorator(self, func: RequestFunc) -> RequestFunc:
        """Retry transient errors. The pool waits for the limiter before the first attempt, then chooses the window."""
        trunk, policy = self.extraction, self.retry_policy
        where, stopped = (trunk.elsewhere, self._where), trunk.pool.stopped
        return Sender(func, self._small_page, *where, trunk.limiter, policy, stopped, trunk.outage)

    def _where(self, context: Context | None) -> tuple[str, str]:
        context = context or {}
        span = self.extraction.spans[context["bot_name"]]
        return span.name, str(Window(context["start_time"], context["end_time"]))

    def _small_page(self, context: Context | None) -> requests.PreparedRequest:
        """Return the smallest possible request: one record from the window's first second."""
        context = context or {}
        return self.first_page({**context, "end_time": context["start_time"] + 1, "per_page": 1})

    def first_page(self, context: Context) -> requests.PreparedRequest:
        """Return the request for a window's first page; the context has all its parameters."""
        request = self.get_http_request(page=PageContext(context, None))
        return self.build_prepared_request(
            method=request.method, url=request.url, params=request.encode_params(), headers=request.headers
        )

    @override
    def validate_response(self, response: requests.Response) -> None:
        raise_for_status(response, self.config["api_key"])
        try:
            page_of(response)
        except InvalidPageError as error:
            msg = f"{error} (HTTP 200: {own_words(response, self.config['api_key'])})"
            raise RetriableAPIError(msg, response) from error

    @override
    def parse_response(self, response: requests.Response) -> Iterable[Any]:
        """Parse a response as one page, so that `request_records` yields pages."""
        return [page_of(response)]

    @override
    def generate_child_contexts(self, record: Record, context: Context | None) -> Iterable[Context | None]:
        # The SDK would evaluate stream map filters for child streams, where an error names no record.
        return ()

    @override
    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:
        # The SDK logs this for every error that ends a sync, explained or not.
        if not message.startswith("An unhandled error occurred"):
            super().log(message, *args, level=level, **kwargs)
