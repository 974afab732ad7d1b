"""One request and its answer: URL, key, parameters, what an error means, what becomes of a record."""

from __future__ import annotations

import math
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import backoff
import requests
from singer_sdk import RESTStream
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError, SyncError
from typing_extensions import override

from tap_deepconverse.pagination import CursorPaginator, InvalidPageError, page_of
from tap_deepconverse.records import converters
from tap_deepconverse.settings import parse_date

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from backoff.types import Details
    from singer_sdk.helpers.types import Auth, Context, Record

    from tap_deepconverse.records import Converter

LONGEST_QUOTE = 200
"""Characters of the API's own words to repeat in an error."""

LONGEST_RETRY_AFTER = 60.0
"""Seconds."""


class ExportStream(RESTStream[str | None]):
    """An endpoint of the Export API. Each bot is a partition, with a bookmark of its own.

    Facts about the API come from its public documentation (base URL, key, parameters, the fields
    ``data`` and ``cursor``, the limits). That 401 and 403 mean a wrong key, and that errors carry
    a ``message``, is inferred from its being served by a cloud API gateway.
    """

    allow_redirects = False  # requests would carry the key along to wherever a redirect points

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

    @property
    @override
    def partitions(self) -> list[dict[str, str]]:
        return [{"bot_name": bot_name} for bot_name in dict.fromkeys(self.config["bot_names"])]

    @override
    def get_new_paginator(self) -> CursorPaginator:
        return CursorPaginator()

    @override
    def get_url_params(self, context: Context | None, next_page_token: str | None) -> dict[str, Any]:
        """Build a request's parameters.

        Args:
            context: The partition's context and the window: `start_time` and `end_time` in Unix seconds.
            next_page_token: The cursor from the answer before, or None for the first page.

        Returns:
            The parameters that the API documents.
        """
        return {**(context or {}), "per_page": self.config["page_size"], "cursor": next_page_token}

    @override
    def get_records(self, context: Context | None) -> Iterator[Record]:
        """Read a bot's records, from its bookmark (or the start date) to the end date or now.

        Args:
            context: The partition: `bot_name`.

        Yields:
            The records as the API sends them.

        Raises:
            FatalAPIError: If the API refuses, or answers with errors until patience ends.
        """
        bot_name = (context or {})["bot_name"]
        start = self.get_starting_timestamp(context) or parse_date(self.config["start_date"])
        end = self.end
        if start >= end:
            self.logger.info("Bot '%s': nothing to do in '%s', which is at %s already", bot_name, self.name, start)
            return
        window = {"start_time": math.floor(start.timestamp()), "end_time": math.ceil(end.timestamp())}
        is_empty = True
        with self._explained(bot_name):
            for record in self.request_records({"bot_name": bot_name, **window}):
                is_empty = False
                yield record
        if is_empty and "replication_key_value" not in self.get_context_state(context):
            self.logger.warning(
                "Bot '%s': nothing at all in '%s' since %s; if the bot has talked since then, its name in `bot_names` "
                "may be wrong",
                bot_name,
                self.name,
                start,
            )

    @cached_property
    def end(self) -> datetime:
        """Where this run ends: the end date, or the moment the run began."""
        end_date = self.config.get("end_date")
        return parse_date(end_date) if end_date else datetime.fromtimestamp(self._tap.initialized_at / 1000, UTC)

    @override
    def validate_response(self, response: requests.Response) -> None:
        """Tell a page from an error, and an error that may pass from one that will not.

        Args:
            response: Any answer.

        Raises:
            FatalAPIError: If asking again cannot help; the message says what to do.
            RetriableAPIError: If it may: too many requests, a server's error, a body that is no page.
        """
        status = response.status_code
        said = f"HTTP {status}: {quote(response)}"
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            msg = f"the API refuses the key ({said}); check `api_key`, and that your plan includes exports"
            raise FatalAPIError(msg)
        if status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}:
            msg = f"the API does not accept the request ({said}); check this bot's name in `bot_names`"
            raise FatalAPIError(msg)
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            msg = f"the API did not answer as it should ({said})"
            raise RetriableAPIError(msg, response)
        if response.is_redirect:
            host = urlsplit(response.headers["Location"]).hostname or "another path"
            msg = f"the API redirects to {host}, and the key is sent to `api_url` only; check `api_url`"
            raise FatalAPIError(msg)
        if status != HTTPStatus.OK:
            msg = f"the API answers what the tap does not know ({said}); check `api_url`"
            raise FatalAPIError(msg)
        try:
            page_of(response)
        except InvalidPageError as error:
            raise RetriableAPIError(str(error), response) from error

    @override
    def backoff_wait_generator(self) -> Generator[float, None, None]:
        """Wait as long as the API says, or else twice as long each time.

        Yields:
            Seconds to wait before the next try.
        """
        longer = backoff.expo(factor=2)
        next(longer)
        error: object = yield 0.0
        while True:
            error = yield min(retry_after(error), LONGEST_RETRY_AFTER) or next(longer)

    @override
    def backoff_handler(self, details: Details) -> None:
        self.logger.warning(
            "%s: waiting %.1f s before try %d",
            describe(details["exception"]),
            details["wait"],
            details["tries"] + 1,
        )

    @override
    def parse_response(self, response: requests.Response) -> Iterable[Record]:
        return page_of(response).records

    @override
    def post_process(self, row: Record, context: Context | None = None) -> Record:
        """Give each field the type that the schema promises.

        Args:
            row: The record as the API sent it.
            context: The partition: `bot_name`.

        Returns:
            The record for the target. A time that cannot be read is null.
        """
        row["bot_name"] = (context or {})["bot_name"]
        self._name_undocumented_fields(row)
        for field, convert in self._converters.items():
            value = row.get(field)
            try:
                row[field] = None if value is None else convert(value)
            except ValueError as error:
                row[field] = None
                self.logger.warning(
                    "Bot '%s', stream '%s': `%s` of the record with _id '%s' is %s; it is null in the target",
                    row["bot_name"],
                    self.name,
                    field,
                    row.get("_id"),
                    error,
                )
        return row

    @cached_property
    def _converters(self) -> dict[str, Converter]:
        return converters(self.schema)

    @cached_property
    def _undocumented_fields(self) -> set[str]:
        return set()

    def _name_undocumented_fields(self, row: Record) -> None:
        new = row.keys() - self._converters.keys() - self._undocumented_fields
        if new:
            self._undocumented_fields.update(new)
            self.logger.info(
                "Stream '%s': the API sends fields that its documentation does not name (%s); they are passed on, and "
                "kept by targets that take additional properties",
                self.name,
                ", ".join(sorted(new)),
            )

    @contextmanager
    def _explained(self, bot_name: str) -> Iterator[None]:
        """Turn what ends a bot's extraction into one sentence that names the bot and the stream."""
        try:
            yield
        except (SyncError, requests.RequestException) as error:
            msg = f"Bot '{bot_name}', stream '{self.name}': {describe(error)}."
            raise FatalAPIError(msg) from error


def describe(error: BaseException) -> str:
    """Say in a clause what went wrong with a request.

    Args:
        error: What `requests` or the tap raised.

    Returns:
        The clause: no URL, no key, nothing of a record.
    """
    if isinstance(error, requests.Timeout):
        return "the API did not answer within `request_timeout`"
    if isinstance(error, requests.RequestException):
        return f"no connection to the API ({type(error).__name__}); check the network and `api_url`"
    return str(error)


def quote(response: requests.Response) -> str:
    """Repeat what the API says of an error: its `message`, else its body, on one line and cut short.

    Args:
        response: An answer that is an error.

    Returns:
        At most `LONGEST_QUOTE` characters, or the status's own name where the API says nothing.
    """
    try:
        text = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        text = response.text
    line = " ".join(text.split())
    return (line[: LONGEST_QUOTE - 1] + "…" if len(line) > LONGEST_QUOTE else line) or str(response.reason)


def retry_after(error: object) -> float:
    """Read how long the API asks to wait.

    Args:
        error: What a request raised.

    Returns:
        Seconds, or 0 where it does not say.
    """
    response = getattr(error, "response", None)
    seconds = "" if response is None else response.headers.get("Retry-After", "")
    return float(seconds) if seconds.isdecimal() else 0.0
