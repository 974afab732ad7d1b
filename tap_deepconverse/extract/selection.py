"""Finds out which time of a conversation the API selects by: its documentation does not say."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tap_deepconverse.extract.windows import Window

# Younger conversations may change while they are read, and so do not show how the API selects
STILL_CHANGING = timedelta(hours=1)


def shows_selection(window: Window, began: datetime, updated: datetime) -> Literal["began", "updated"] | None:
    """Return which of a record's two times lies in the window that returned it, if only one does."""
    # One second more, as the archive may hold only whole seconds.
    end = window.end_moment + timedelta(seconds=1)
    has_begun_in, was_updated_in = (window.start_moment <= moment <= end for moment in (began, updated))
    if has_begun_in == was_updated_in:
        return None
    return "began" if has_begun_in else "updated"


class Selection:
    """Watches a stream's records until one of them shows which time the API selects by."""

    def __init__(self, began_field: str, updated_field: str, run_began: datetime) -> None:
        """Start, with the fields that hold when a conversation began and when it was last updated."""
        self._fields = {"began": began_field, "updated": updated_field}
        self._run_began = run_began
        self.is_known = False

    def observe(self, window: Window, began: str, updated: str) -> str | None:
        """Return what a record's times (ISO 8601) show and what follows from that, or None."""
        last_update = datetime.fromisoformat(updated)
        by = shows_selection(window, datetime.fromisoformat(began), last_update)
        if by is None or (by == "began" and last_update >= self._run_began - STILL_CHANGING):
            return None
        self.is_known = True
        follows = {
            "began": "a change is found only if the conversation began within `lookback_days` before the bookmark; set "
            "that to as many days as a conversation may last",
            "updated": "every change is found; `lookback_days` need only cover the lag of the archive",
        }
        return f"the API selects by `{self._fields[by]}`, so {follows[by]}"
