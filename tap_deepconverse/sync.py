"""The loop of a run: reads bots of any streams at once, and writes what comes in one thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from singer_sdk.exceptions import FatalAPIError, SyncError

from tap_deepconverse.extract.failures import EveryBotError, Failures
from tap_deepconverse.extract.pool import Pool
from tap_deepconverse.extract.workers import Threads
from tap_deepconverse.singer.writer import PageWriter

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from typing import Any

    from tap_deepconverse.bot import BotSync


class FailedBotsError(SyncError):
    """Some bots could not be read completely. Each has been logged as an error."""

    def __init__(self, failed: Mapping[str, Collection[str]]) -> None:
        names = "; ".join(f"{stream}: {', '.join(map(repr, bots))}" for stream, bots in failed.items())
        super().__init__(
            f"These bots failed ({names}); all others are complete. See the errors above. The next run goes on from "
            "their last checkpoints."
        )


def sync_streams(streams: Sequence[Sequence[BotSync]], config: Mapping[str, Any], writer: object) -> None:
    """Read streams at once, in one thread: each burst of pages is a `sync` of the SDK. See `read_bots`.

    Args:
        streams: The bots of each stream.
        config: The settings.
        writer: Where the records go.
    """
    begun = set()
    for bot in read_bots([bot for bots in streams for bot in bots], config, writer):
        bot.stream.sync(bot.context)
        begun.add(bot.stream)
    for first, *_ in streams:
        if first.stream not in begun:  # a target wants the schema of a stream without records too
            first.stream.sync(first.context)
        first.stream.finalize_state_progress_markers()


def read_bots(bots: Sequence[BotSync], config: Mapping[str, Any], writer: object) -> Iterator[BotSync]:
    """Read bots, of any streams, to their ends. This is the loop of a run.

    Args:
        bots: What to read.
        config: The settings.
        writer: Where the records go. If it is a `PageWriter`, a target that has gone is noticed.

    Yields:
        A bot whenever something has come for it; the caller takes it by `records`.

    Raises:
        FatalAPIError: If an error is everyone's. An error of one bot is logged.
    """
    for bot in bots:
        bot.warn_of_gap()
    by_lane = {bot.lane: bot for bot in bots}
    by_name = {(bot.stream.name, bot.bot_name): bot for bot in bots}
    going = dict(by_lane)
    failures = Failures(lambda stream, bot_name, reason: by_name[stream, bot_name].fail(reason))
    is_written = False  # what has come, also the last of it
    with Threads(config["concurrency"], threading.Event()) as threads:
        try:
            for lane in Pool([*going], threads, config["concurrency"]).arrivals():
                if lane is None:
                    if isinstance(writer, PageWriter):
                        writer.check_target()
                    continue
                if lane.inbox:
                    failures.page_came()
                    yield by_lane[lane]
                if lane.is_over and lane.failure and going.pop(lane, None):
                    failures.add(lane.source.name, lane.bot_name, lane.failure[1])
            is_written = True
            failures.end()
        except EveryBotError as error:
            raise FatalAPIError(str(error)) from error
        finally:
            for bot in bots:
                bot.sum_up(is_written=is_written)
                bot.endpoint.sessions.close()
