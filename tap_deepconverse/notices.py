"""What is said of data that is odd: of each kind the first few, and at the end how many there were.

A log line for each would bury all others, should an archive be odd throughout.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

MOST_NAMED = 10
"""How many of a kind are named, for each bot."""


class Notices:
    """Warns of what is odd in a bot's records."""

    def __init__(self, logger: logging.Logger, bot_name: str, stream: str) -> None:
        """Start without anything odd.

        Args:
            logger: Where to warn.
            bot_name: The bot.
            stream: The stream's name.
        """
        self._logger = logger
        self._where = f"Bot '{bot_name}', stream '{stream}'"
        self._counts: Counter[str] = Counter()

    def notice(self, kind: str, message: str) -> None:
        """Warn of something, unless enough of its kind has been warned of.

        Args:
            kind: Of what kind it is, as a noun in the plural: "pages with text that could not be kept".
            message: What to say. Nothing of what a record holds.
        """
        self._counts[kind] += 1
        if self._counts[kind] <= MOST_NAMED:
            more = "; more of these are counted, and not named" if self._counts[kind] == MOST_NAMED else ""
            self._logger.warning("%s: %s%s", self._where, message, more)

    def sum_up(self) -> None:
        """Say how many there were of each kind of which not all were named."""
        for kind, count in self._counts.items():
            if count > MOST_NAMED:
                self._logger.warning("%s: in all, %s %s", self._where, f"{count:,}", kind)
