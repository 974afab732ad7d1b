"""The loop of a run: reads bots of any streams at once, and yields, in one thread, those for which pages came."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from tap_deepconverse.bot import BotSync
from tap_deepconverse.extract.failures import Failures
from tap_deepconverse.extract.pool import Pool
from tap_deepconverse.extract.workers import Threads
from tap_deepconverse.singer.writer import PageWriter


def read_bots(bots: Sequence[BotSync], config: Mapping[str, Any], writer: object) -> Iterator[BotSync]:
    """Read bots, of any streams, to their ends. If one fails, that is logged.

    Yields:
        A bot whenever something has come for it; the caller writes its `records`.

    Raises:
        EveryBotError: If an error is everyone's.
    """
    by_lane = {bot.lane: bot for bot in bots}
    failed = set()
    failures = Failures()
    for bot in bots:
        bot.warn_of_gap()
    try:
        with Threads(threading.Event()) as threads:
            for lane in chain(Pool([*by_lane], threads, config["concurrency"]).arrivals(), [None]):
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
        failures.end()
    finally:
        for bot in bots:
            bot.endpoint.sessions.close()
    for bot in bots:
        bot.sum_up()
