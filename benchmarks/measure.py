"""Run the stand-in API, run a command against it, and measure what the command takes."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass

import requests
from rich.console import Console

from benchmarks.data import Data
from sandbox.contract import PARAMETERS

SLOW_ANSWER = 2
"""Seconds from which on the time of one answer counts in the minimum time."""

console = Console(width=160)


@dataclass(frozen=True)
class Cost:
    """What a run took.

    Attributes:
        wall: Seconds of wall clock.
        cpu: Seconds of CPU, of all its processes.
        memory: Peak of memory of its largest process, in MB.
        requests: Requests that the API answered.
        refused: Requests that the API refused with status 429.
        at_once: Most requests that were under way at once.
    """

    wall: float
    cpu: float
    memory: float
    requests: float
    refused: float
    at_once: float


@dataclass(frozen=True)
class Api:
    """A running stand-in API.

    Attributes:
        url: Its URL.
        data: Its data.
        latency: Seconds that an answer takes.
        rate: Requests allowed in any second; 0 is no limit.
    """

    url: str
    data: Data
    latency: float
    rate: int

    def get(self, path: str) -> list[int]:
        """Ask the server a question of the benchmark's own."""
        answer: list[int] = requests.get(self.url + path, timeout=60).json()
        return answer

    def needed(self, start: int) -> tuple[int, int]:
        """Count what a run has to read from a moment on."""
        needed, records = self.get(
            f"/needed?{PARAMETERS['start_time']}={start}&{PARAMETERS['end_time']}={self.data.end}"
        )
        return needed, records

    def minimum_time(self, start: int) -> float:
        """Say how many seconds a run takes at least, for the limit and the time of an answer."""
        return self.needed(start)[0] / self.rate + (self.latency if self.latency >= SLOW_ANSWER else 0)

    def measure(self, command: str) -> Cost:
        """Run a command to its end."""
        self.get("/reset")
        began = time.monotonic()
        process = subprocess.Popen(  # noqa: S603
            ["/bin/bash", "-o", "pipefail", "-c", command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        log = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        if status:
            console.print(log, markup=False)
            sys.exit(f"{command} failed with status {os.waitstatus_to_exitcode(status)}")
        return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, *self.get("/counts"))


@contextmanager
def serving(data: Data, latency: float = 0, rate: int = 0) -> Iterator[Api]:
    """Run the server in a process of its own."""
    arguments = [*data.arguments(), f"--latency={latency}", f"--rate={rate}"]
    command = [sys.executable, "-m", "benchmarks.server", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        assert server.stdout is not None
        try:
            yield Api(server.stdout.readline().strip(), data, latency, rate)
        finally:
            server.kill()


def in_turns(runs: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, Cost]:
    """Run each in turn, several times."""
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    for round_ in range(1, rounds + 1):
        for name, run in runs.items():
            costs[name].append(run())
            log(f"round {round_}: {name}", costs[name][-1])
    return {name: Cost(*map(statistics.median, zip(*map(astuple, of), strict=True))) for name, of in costs.items()}


def log(what: str, cost: Cost) -> None:
    """Show what a run took."""
    console.print(
        f"  {what}: {cost.wall:.1f} s, CPU {cost.cpu:.1f} s, {cost.memory:.0f} MB, {cost.requests:.0f} requests, "
        f"{cost.refused:.0f} refused, {cost.at_once:.0f} at once",
        highlight=False,
    )
