"""Made-up conversations for the benchmarks: how many, of which bots, and when."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from zlib import crc32

from sandbox.archive import HOURS, Archive
from sandbox.contract import ID

HOUR = 3_600
DAY = 24 * HOUR

END = 1_790_000_000
"""Where the data ends by default: 2026-09-21, a Monday, in Unix seconds."""

ONE = ("conversations",)
SHAPES = ("rhythm", "weekend", "campaign", "uniform")
ORDERS = ("rising", "none")


@dataclass(frozen=True)
class Data:
    """A description of the data. The same description gives the same data.

    Attributes:
        conversations: How many conversations each bot has.
        bots: How many bots there are: `bot-0`, `bot-1` and so on. With 0, there is one bot named `bot`.
        days: Over how many days the conversations are spread, before `end`.
        shape: `rhythm`: each hour of a day has its own traffic. `weekend`: the same, with a quarter of the traffic on
            Saturday and Sunday. `campaign`: a rhythm, with 10 times the traffic for three days. `uniform`: the same
            traffic all the time.
        order: The order of the records in a window: `rising` by time, or `none`, scattered.
        seed: Another seed gives other data.
        end: Where the data ends, in Unix seconds.
        padding: How many bytes each record has besides.
        messages: Whether each conversation has a message, at its time.
    """

    conversations: int
    bots: int = 0
    days: float = 90
    shape: str = "rhythm"
    order: str = "rising"
    seed: int = 4
    end: int = END
    padding: int = 0
    messages: bool = False

    @property
    def start(self) -> int:
        """Where the data starts, in Unix seconds."""
        return self.end - round(self.days * DAY)

    @property
    def bot_names(self) -> list[str]:
        """The names of the bots."""
        return [f"bot-{number}" for number in range(self.bots)] or ["bot"]

    def arguments(self) -> list[str]:
        """Write the description as arguments of `benchmarks.server`."""
        options = asdict(self)
        return [str(options.pop("conversations")), *(f"--{name}={value}" for name, value in options.items())]


@dataclass(frozen=True)
class Records:
    """The records of a stream and bot, sorted by time.

    Attributes:
        times: The time of each record, in Unix seconds.
        bodies: Each record as JSON.
        hashes: A hash of each record's id.
    """

    times: list[int]
    bodies: list[bytes]
    hashes: list[int]


def make_records(data: Data) -> Iterator[tuple[str, str, Records]]:
    """Make the records of each stream and bot."""
    archive, chance = Archive(data.seed), random.Random(data.seed)
    for bot_name in data.bot_names:
        times = _times(data, chance)
        made = {stream: Records(times, [], []) for stream in (("conversations", "messages") if data.messages else ONE)}
        for time in times:
            archive.conversations[bot_name] = archive.messages[bot_name] = {}  # only the JSON is kept
            conversation = archive.begin(bot_name, time)
            for stream, records in made.items():
                is_message = stream == "messages"
                record = archive.say(bot_name, conversation, time, {"outMsg": "Hi!"}) if is_message else conversation
                records.bodies.append(json.dumps(record).encode())
                records.hashes.append(crc32(record[ID].encode()))
        yield from ((stream, bot_name, records) for stream, records in made.items())


def _times(data: Data, chance: random.Random) -> list[int]:
    hours = range(data.start, data.end, HOUR)
    weights = _weights(data.shape, hours, chance)
    chosen = chance.choices(hours, weights, k=data.conversations)
    return sorted(hour + int(chance.random() * min(HOUR, data.end - hour)) for hour in chosen)


def _weights(shape: str, hours: Sequence[int], chance: random.Random) -> list[float]:
    """How much traffic each hour has, relative to the others."""
    if shape == "uniform":
        return [1] * len(hours)
    weights: list[float] = [HOURS[hour % DAY // HOUR] for hour in hours]
    if shape == "weekend":
        weekdays = [(hour // DAY + 3) % 7 for hour in hours]  # 0 is Monday; Unix time starts on a Thursday
        return [weight / 4 if weekday in (5, 6) else weight for weight, weekday in zip(weights, weekdays, strict=True)]
    if shape == "campaign":
        first = chance.randrange(len(hours))
        for hour in range(first, min(first + 72, len(hours))):
            weights[hour] *= 10
    return weights
