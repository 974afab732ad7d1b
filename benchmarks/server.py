"""An Export API that answers fast: each record is JSON beforehand, an answer is a slice of them.

Run as a process of its own, so that what is measured is the reader: `python -m benchmarks.server 100000`.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from bisect import bisect_left
from collections import deque
from urllib.parse import parse_qs, urlsplit

import click

from sandbox.archive import DAY, HOURS, Archive

END = 1_790_000_000
"""Where the data ends, in Unix seconds."""

DAYS = 90


class Server:
    """Conversations of one bot, spread over 90 days as busy hours and quiet ones go."""

    def __init__(self, conversations: int, latency: float, rate: int) -> None:
        """Prepare the answers.

        Args:
            conversations: How many there are.
            latency: Seconds that an answer takes.
            rate: Requests allowed in any second; 0 is no limit.
        """
        self.latency, self.rate = latency, rate
        self.requests, self.refused = 0, 0
        self._recent: deque[float] = deque()
        archive, chance = Archive(), random.Random(4)
        archive.conversations["bot"] = {}
        while len(archive.conversations["bot"]) < conversations:
            moment = END * 1000 - chance.randrange(DAYS * DAY)
            if chance.random() < HOURS[moment % DAY * 24 // DAY] / max(HOURS):
                archive.begin("bot", moment // 1000 * 1000)
        records = sorted(archive.conversations["bot"].values(), key=lambda record: int(record["startTime"]))
        for record in records:
            record["startTime"] = record["lastActionAt"] = record["startTime"] // 1000
        self._times = [record["startTime"] for record in records]
        self._bodies = [json.dumps(record).encode() for record in records]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        while head := await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b"":
            target = head.split(b" ", 2)[1].decode()
            status, body = self.answer(target)
            await asyncio.sleep(self.latency if status.startswith("200") else 0)
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            await writer.drain()

    def answer(self, target: str) -> tuple[str, bytes]:
        """Answer a request.

        Args:
            target: Its path and query.

        Returns:
            The status and the body.
        """
        url = urlsplit(target)
        if url.path == "/counts":
            return "200 OK", json.dumps([self.requests, self.refused]).encode()
        if not self._admit():
            return "429 Too Many Requests", b'{"message": "Too Many Requests"}'
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path.endswith("/messages"):
            return "200 OK", b'{"data": [], "cursor": null}'
        size = int(query.get("per_page", 1000))
        first = bisect_left(self._times, int(query["start_time"])) + int(query.get("cursor", 0))
        last = bisect_left(self._times, int(query["end_time"]))
        cursor = b'"%d"' % (int(query.get("cursor", 0)) + size) if first + size < last else b"null"
        page = b",".join(self._bodies[first : min(first + size, last)])
        return "200 OK", b'{"data": [' + page + b'], "cursor": ' + cursor + b"}"

    def _admit(self) -> bool:
        now = time.monotonic()
        while self._recent and self._recent[0] <= now - 1:
            self._recent.popleft()
        if self.rate and len(self._recent) >= self.rate:
            self.refused += 1
            return False
        self._recent.append(now)
        self.requests += 1
        return True


@click.command()
@click.argument("conversations", type=int)
@click.option("--latency", default=0.0)
@click.option("--rate", default=0)
def main(conversations: int, latency: float, rate: int) -> None:
    """Serve until interrupted; the first line of output is the URL."""

    async def run() -> None:
        server = Server(conversations, latency, rate)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await server.serve(reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        listening = await asyncio.start_server(answer, "127.0.0.1", 0)
        click.echo(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        async with listening:
            await listening.serve_forever()

    asyncio.run(run())


if __name__ == "__main__":
    main()
