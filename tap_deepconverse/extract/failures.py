"""Decides whose an error is: one bot's, or everyone's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_deepconverse.api.errors import APIError, describe, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_ALIKE = 3
"""Bots that fail alike, with no page in between, until the error is everyone's. One or two names may be wrong."""


class EveryBotError(Exception):
    """An error that all bots have: of the key, the host, the network."""


@dataclass
class Failures:
    """Holds back errors until it is clear whose they are, whatever their status.

    An error is one bot's, of one stream. But if others fail alike and no page comes in between, it is everyone's, and
    the run ends.

    Attributes:
        report: Called with the stream, the bot and the reason, for each error that is one bot's.
    """

    report: Callable[[str, str, str], None]
    _held: list[tuple[str, str, Exception]] = field(default_factory=list)
    _has_page: bool = False

    def page_came(self) -> None:
        """Record that the API returned a page: the errors before it were not everyone's."""
        self._has_page = True
        self._settle()

    def add(self, stream: str, bot_name: str, error: Exception) -> None:
        """Record that a bot cannot be read.

        Raises:
            EveryBotError: If as many have failed alike.
        """
        is_alike = self._held and kind_of(error) == kind_of(self._held[0][2])
        if not (is_alike and isinstance(error, APIError)):
            self._settle()
        self._held.append((stream, bot_name, error))
        if len({name for _, name, _ in self._held}) >= MOST_ALIKE:
            raise self._of_everyone()

    def end(self) -> None:
        """Report what is left.

        Raises:
            EveryBotError: If all have failed alike.
        """
        if len(self._held) > 1 and not self._has_page:
            raise self._of_everyone()
        self._settle()

    def _of_everyone(self) -> EveryBotError:
        names = dict.fromkeys(f"'{name}'" for _, name, _ in self._held)
        error = self._held[0][2]
        said = describe(error)
        return EveryBotError(f"{said[:1].upper()}{said[1:]} (the same for all that were tried: {', '.join(names)}).")

    def _settle(self) -> None:
        for stream, bot_name, error in self._held:
            self.report(stream, bot_name, describe(error))
        self._held.clear()
