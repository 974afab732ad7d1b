"""What has been seen of a window: its newest time, and how its records are distributed over time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from tap_deepconverse.extract.density import Count

if TYPE_CHECKING:
    from tap_deepconverse.extract.overlap import WindowEdges

TEN_MINUTES = len("2026-01-01T00:0")
LONGEST_BY_TENS = 14 * 86_400  # seconds; a longer window is not counted by ten minutes


@dataclass
class Seen:
    """What has been seen of a window so far: its newest time, and the records in each ten minutes, as text."""

    edges: WindowEdges
    newest: str | None = None
    tens: Counter[str] = field(default_factory=Counter)

    def counts(self, records: int) -> list[Count]:
        """Return how the window's records are distributed over time: counts without gaps that add up to `records`."""
        window = self.edges.window
        tens = [(int(datetime.fromisoformat(f"{ten}0:00Z").timestamp()), n) for ten, n in sorted(self.tens.items())]
        held = [(max(start, window.start), start + 600, n) for start, n in tens]
        held = [(start, min(end, window.end), n) for start, end, n in held if start < min(end, window.end)]
        if not held or window.end - window.start > LONGEST_BY_TENS:
            return [Count(window.start, window.end, records)]
        share = records / sum(n for _, _, n in held)
        counts, at = [], window.start
        for start, end, n in held:
            if start > at:
                counts.append(Count(at, start, 0))
            counts.append(Count(start, end, n * share))
            at = end
        return [*counts, Count(at, window.end, 0)] if at < window.end else counts
