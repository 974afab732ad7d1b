"""The names of the Export API, each in one place: for the sandbox, the tests, the benchmarks and the fuzzer."""

from dataclasses import dataclass
from typing import Any

KEY = "sandbox-key"
KEY_HEADER = "x-api-key"

DATA = "data"
CURSOR = "cursor"
"""Keys of a page: where its records are, and where the next page's token is."""

PARAMETERS = {name: name for name in ("start_time", "end_time", "bot_name", "per_page", "cursor", "conversation_id")}
"""By the name that the sandbox and the tests use, the name that the API uses."""

MOST_PER_PAGE = 1000
ID = "_id"


@dataclass(frozen=True)
class Endpoint:
    """Where a stream comes from.

    Attributes:
        path: The path of its endpoint.
        time: The field that the tap's bookmark is about.
        times: All fields that hold times.
    """

    path: str
    time: str
    times: tuple[str, ...]


ENDPOINTS = {
    "conversations": Endpoint(
        "/conversations/export/v1/conversations", "lastActionAt", times=("startTime", "lastActionAt")
    ),
    "messages": Endpoint("/conversations/export/v1/messages", "time", times=("time",)),
}
"""By stream."""

STREAMS = tuple(ENDPOINTS)
TIME_FIELDS = {name for endpoint in ENDPOINTS.values() for name in endpoint.times}


def parameters(**query: Any) -> dict[str, Any]:
    """Write a query as the API wants it."""
    return {PARAMETERS[name]: value for name, value in query.items()}
