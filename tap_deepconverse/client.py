"""An endpoint of the Export API as a stream: the SDK's hooks."""

import logging
import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from singer_sdk import RESTStream, Tap
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.exceptions import FatalAPIError
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.helpers.types import Auth, Context, Record
from typing_extensions import override

from tap_deepconverse.api.retry import RetryPolicy
from tap_deepconverse.bot import BotSync
from tap_deepconverse.endpoint import Endpoint
from tap_deepconverse.extract.span import SpanSettings
from tap_deepconverse.extract.window import moment_of
from tap_deepconverse.records.conform import Conformer
from tap_deepconverse.records.exclude import Exclusion
from tap_deepconverse.records.values import parse_iso
from tap_deepconverse.records.warnings import ADDITIONAL, RecordWarnings, UndocumentedFields
from tap_deepconverse.singer.state import Checkpoints
from tap_deepconverse.singer.writer import PageWriter
from tap_deepconverse.sync import read_bots

API_KEY_HEADER = "x-api-key"
BASE_PATH = "/conversations/export/v1"
MOST_DAYS = 36_500  # a century: more makes no difference


class ExportStream(RESTStream[str | None]):
    """An endpoint of the Export API, read in windows. Each bot is a partition with its own bookmark."""

    # The SDK calls a stream sorted if its bookmark is valid after an interruption. This one's is: the records come in
    # no order, but the bookmark moves at checkpoints only.
    is_sorted = True
    check_sorted = False

    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # the records conform already; a second check would cost time
    emit_activate_version_messages = False  # a target would delete older rows, also those of a bot that then fails
    retry_policy = RetryPolicy()
    begin_key = ""  # the field with the time when the conversation began, if it is not the replication key

    @override
    def __init__(self, tap: Tap, exclusion: Exclusion | None = None) -> None:
        self._said: set[str] = set()
        super().__init__(tap)
        self.tap = tap
        self._exclusion = exclusion

    @property
    @override
    def partitions(self) -> list[dict[str, str]]:
        return [{"bot_name": bot_name} for bot_name in dict.fromkeys(self.config["bot_names"])]

    @property
    @override
    def url_base(self) -> str:
        return f"{self.config['api_url'].rstrip('/')}{BASE_PATH}"

    @property
    @override
    def user_agent(self) -> str:
        return f"{self.tap.name}/{self.tap.plugin_version}"

    @property
    @override
    def authenticator(self) -> Auth:
        return APIKeyAuthenticator(key=API_KEY_HEADER, value=self.config["api_key"])

    @override
    def get_url_params(self, context: Context | None, next_page_token: str | None) -> dict[str, Any]:
        # The context has `bot_name`, `start_time`, `end_time` and `per_page`.
        return {**(context or {}), "cursor": next_page_token}

    @cached_property
    def endpoint(self) -> Endpoint:
        """Sends the requests."""
        return Endpoint(self, self.retry_policy)

    @cached_property
    def bots(self) -> dict[str, BotSync]:
        """What a run reads of each bot, by its name."""
        settings, checkpoints = span_settings(self), Checkpoints(self)
        return {
            context["bot_name"]: BotSync(self.endpoint, context, settings, checkpoints, self._conformer)
            for context in self.partitions
        }

    @property
    def failed_bots(self) -> dict[str, str]:
        """The bots that could not be read completely, and why."""
        return {name: bot.error for name, bot in self.bots.items() if bot.error}

    @cached_property
    def _undocumented(self) -> UndocumentedFields:
        is_kept = ADDITIONAL in self.effective_schema["properties"] and self.mask["properties", ADDITIONAL]
        return UndocumentedFields(self.logger, self.name, is_kept=is_kept)

    def _conformer(self, bot_name: str, warnings: RecordWarnings) -> Conformer:
        # Nested values stay JSON unless the selection, a stream map or the flattening looks into them.
        is_nested_selected = all(self.mask[place] for place in self.metadata if len(place) > 2)  # noqa: PLR2004
        is_changed = self.config.get("stream_maps") or self.config.get("flattening_enabled")
        is_shallow = isinstance(self.tap.message_writer, PageWriter) and is_nested_selected and not is_changed
        schemas = self.schema, self.effective_schema
        return Conformer(bot_name, *schemas, warnings, self._undocumented, self._exclusion, is_shallow)

    @override
    def get_records(self, context: Context | None) -> Iterator[Record]:
        """Yield the records of a bot that have come; without any, read the bot to its end.

        In a run of the tap, this is called for each burst of pages; where the SDK runs the stream, once for each bot.
        If the bot cannot be read, that is logged; in the SDK's connection test, it is an error.
        """
        bot = self.bots[(context or {})["bot_name"]]
        if bot.lane.inbox or bot.is_over:
            yield from bot.records()
            return
        for each in read_bots([bot], self.config, self.tap.message_writer):
            yield from each.records()
        if bot.error and self.ABORT_AT_RECORD_COUNT is not None:
            raise FatalAPIError(bot.error)

    @override
    def _increment_stream_state(self, latest_record: Record, *, context: Context | None = None) -> None:
        # Private, as there is no public hook. The SDK would move the bookmark with each record, which is right only if
        # records come in order. Here checkpoints move it.
        pass

    @override
    def _write_starting_replication_value(self, context: Context | None) -> None:
        # Private. It would log the bookmark at each burst of pages, and no checkpoint needs what it stores.
        pass

    @override
    def _process_record(
        self, record: Record, child_context: Context | None = None, partition_context: Context | None = None
    ) -> None:
        # Private. The SDK would add `bot_name` again where the catalog leaves it out, and evaluate stream map filters
        # for child streams, where an error names no record.
        pass

    @override
    def get_batch_config(self, config: Mapping[str, Any]) -> None:
        pass  # the tap writes no BATCH messages

    @override
    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:
        # The SDK says the same for each `sync`, which is called for each burst of pages, and for each error.
        is_said = message in self._said or level >= logging.ERROR
        self._said.add(message)
        super().log(message, *args, level=logging.DEBUG if is_said else level, **kwargs)


def span_settings(stream: ExportStream) -> SpanSettings:
    """Return the settings that all bots of a stream share."""
    config = stream.config
    # The last full second: an end in the future, if only by a part of a second, may be refused.
    end = stream.tap.initialized_at // 1000
    if end_date := config.get("end_date"):
        end = min(end, math.ceil(parse_iso(end_date).timestamp()))
    return SpanSettings(
        start=parse_iso(config["start_date"]),
        end=moment_of(end),  # not after the start of the run: conversations still change there
        is_end_given=bool(end_date),
        window_days=min(config["window_days"], MOST_DAYS),
        lookback_days=min(config["lookback_days"], MOST_DAYS),
        version_field=stream.replication_key or "",  # a catalog may remove or replace it
        begin_field=stream.begin_key,
    )
