"""Forecasts how many records a bot has in each hour. Pure. Times are Unix seconds."""

from collections.abc import Iterator, Mapping

from tap_deepconverse.extract.window import DAY, HOUR, Window

DOUBT = 30
"""Records. As many must be found in an hour of the day before it counts as busier or quieter than the others."""


class Forecast:
    """How many records a bot has in each hour: what an earlier run counted, or else the mean times the hour of the day.

    Both are corrected by what this run has found.
    """

    def __init__(self, per_hour: Mapping[int, float]) -> None:
        """Start with the records of each hour (its start in Unix seconds) that an earlier run counted."""
        self._per_hour = dict(per_hour)
        self._counted_until = max(per_hour, default=0) + HOUR
        # Earlier counts weigh as much as one record: what this run finds soon corrects them.
        self._found = self._predicted = float(any(per_hour.values()))
        self._records = [0.0] * 24
        self._seconds = [0.0] * 24
        self._weights = [1.0] * 24
        self._mean = 1.0
        if self._found:
            self._mean = sum(per_hour.values()) / len(per_hour) / HOUR
            self._learn_hours(per_hour, Window(min(per_hour), max(per_hour) + HOUR))

    @property
    def _level(self) -> float:
        return self._found / self._predicted if self._predicted else 0.0

    @property
    def is_known(self) -> bool:
        """Whether there is anything to forecast from."""
        return self._predicted > 0

    def expected(self, window: Window) -> float:
        """Return how many records to expect."""
        return self._level * sum(seconds * rate for seconds, rate in self._pieces(window))

    def length(self, window: Window, records: float) -> float:
        """Return how many seconds from the window's start on hold so many records."""
        passed = 0.0
        for seconds, base in self._pieces(window):
            rate = base * self._level
            if seconds * rate > records:
                return passed + records / rate
            records -= seconds * rate
            passed += seconds
        return passed

    def learn(self, window: Window, records: float, per_hour: Mapping[int, float] | None = None) -> None:
        """Correct the forecast by what a window held; `per_hour` is how its records are spread over the hours."""
        if records and not self._found:
            self._predicted = 0.0  # silence does not predict what follows it
        self._found += records
        self._predicted += sum(seconds * rate for seconds, rate in self._pieces(window))
        self._learn_hours(per_hour or {}, window)

    def _pieces(self, window: Window) -> Iterator[tuple[float, float]]:
        """Yield pieces of a window: seconds, and records per second before the correction."""
        at = window.start
        mean_from = max(self._counted_until, window.start) + 7 * DAY
        while at < window.end:
            hour = at // HOUR * HOUR
            if hour > mean_from:  # weeks are alike
                yield window.end - at, self._mean
                return
            until = min(window.end, hour + HOUR)
            counted = self._per_hour.get(hour)
            yield until - at, self._mean * self._weights[hour // HOUR % 24] if counted is None else counted / HOUR
            at = until

    def _learn_hours(self, per_hour: Mapping[int, float], window: Window) -> None:
        for hour, records in per_hour.items():
            self._records[hour // HOUR % 24] += records
            self._seconds[hour // HOUR % 24] += min(hour + HOUR, window.end) - max(hour, window.start)
        mean = sum(self._records) / max(1.0, sum(self._seconds))
        self._weights = [
            (records + DOUBT) / (mean * seconds + DOUBT)
            for records, seconds in zip(self._records, self._seconds, strict=True)
        ]
