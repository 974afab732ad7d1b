"""Decides whose an error is: one bot's, or everyone's."""

from collections.abc import Callable, Collection

from singer_sdk.exceptions import FatalAPIError

from tap_deepconverse.api.errors import APIError, describe, kind_of

MOST_ALIKE = 3
"""Bots that fail alike, with no page in between, until the error is everyone's."""
REFUSALS = {"400", "401", "403", "404"}
MOST_REFUSED = 10
"""The same for these statuses, and only before the first page: a key may not be for some of the bots."""


class EveryBotError(FatalAPIError):
    """An error that all bots have: of the key, the host, the network."""


class Failures:
    """Holds back errors until it is clear whose they are, whatever their status.

    An error is one bot's, of one stream. But if others fail alike and no page comes in between, it is everyone's, and
    the run ends. A refusal, such as HTTP 403, is everyone's only before the first page of the run.
    """

    def __init__(self) -> None:
        self._held: list[tuple[str, Exception, Callable[[str], None]]] = []
        self._has_page = False

    def page_came(self) -> None:
        """Record that the API returned a page: the errors before it were not everyone's."""
        self._has_page = True
        self._settle()

    def add(self, bot_name: str, error: Exception, report: Callable[[str], None]) -> None:
        """Record that a bot cannot be read; `report` gets the reason if the error is its own.

        Raises:
            EveryBotError: If as many have failed alike.
        """
        is_alike = self._held and kind_of(error) == kind_of(self._held[0][1])
        if not (is_alike and isinstance(error, APIError)):
            self._settle()
        self._held.append((bot_name, error, report))
        is_refusal = kind_of(error) in REFUSALS
        if not (is_refusal and self._has_page):
            self._require_fewer_than(MOST_REFUSED if is_refusal else MOST_ALIKE, {name for name, *_ in self._held})

    def end(self) -> None:
        """Report what is left; raise `EveryBotError` if all have failed alike."""
        if not self._has_page:
            self._require_fewer_than(2, self._held)
        self._settle()

    def _require_fewer_than(self, most: int, failed: Collection[object]) -> None:
        if len(failed) >= most:
            names = ", ".join(dict.fromkeys(f"'{name}'" for name, *_ in self._held))
            said = describe(self._held[0][1])
            msg = f"{said[:1].upper()}{said[1:]} (the same for all that were tried: {names})."
            raise EveryBotError(msg)

    def _settle(self) -> None:
        for _, error, report in self._held:
            report(describe(error))
        self._held.clear()
