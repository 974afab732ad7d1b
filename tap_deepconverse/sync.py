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
    """Read the bots of each stream, all at once, in one thread: each burst of pages is a `sync` of the SDK."""
    begun = set()
    for bot in read_bots([bot for bots in streams for bot in bots], config, writer):
        bot.stream.sync(bot.context)
        begun.add(bot.stream)
    for first, *_ in streams:
        if first.stream not in begun:  # a target wants the schema of a stream without records too
            first.stream.sync(first.context)
        first.stream.finalize_state_progress_markers()


def read_bots(bots: Sequence[BotSync], config: Mapping[str, Any], writer: object) -> Iterator[BotSync]:
    """Read bots, of any streams, to their ends. This is the loop of a run. If one fails, that is logged.

    Yields:
        A bot whenever something has come for it; the caller takes it by `records`.

    Raises:
        FatalAPIError: If an error is everyone's.
    """
    by_lane = {bot.lane: bot for bot in bots}
    failed = set()
    is_written = False  # what has come, also the last of it
    failures = Failures()
    for bot in bots:
        bot.warn_of_gap()
    try:
        with Threads(config["concurrency"], threading.Event()) as threads:
            for lane in Pool([*by_lane], threads, config["concurrency"]).arrivals():
                if lane is None:
                    if isinstance(writer, PageWriter):
                        writer.check_target()
                    continue
                if lane.inbox:
                    failures.page_came()
                    yield by_lane[lane]
                if lane.is_over and lane.failure and lane not in failed:
                    failed.add(lane)
                    failures.add(lane.bot_name, lane.failure[1], by_lane[lane].fail)
            is_written = True
            failures.end()
    except EveryBotError as error:
        raise FatalAPIError(str(error)) from error
    finally:
        for bot in bots:
            bot.sum_up(is_written=is_written)
            bot.endpoint.sessions.close()
