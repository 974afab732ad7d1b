"""Syncs, one after the other, while everything fails that can: `make soak`.

Five bots talk on while the tap reads them, by the real command into the real `target-postgres`. Answers
are broken in every way that the sandbox knows, the server goes away and comes back, and the tap or the
target is killed at random moments. At the end, target and source must be equal.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sandbox.archive import DAY, Archive
from sandbox.check import differences, expected_rows
from sandbox.contract import STREAMS
from sandbox.demo import SCHEMA, warehouse_rows
from sandbox.faults import Sometimes
from sandbox.postgres import server
from sandbox.server import ORDERS, SELECT_BY, TIME_FORMATS, Behaviour, Sandbox
from tests.leaks import leaks
from tests.support import ROOT, TAP, config_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from sandbox.postgres import Database
    from tests.support import Json

TARGET = ROOT / ".meltano/loaders/target-postgres/venv/bin/target-postgres"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
MOST_TRIES = 10
BOTS = {"busy": 1000, "calm": 300, "small": 100, "single": 1, "silent": 0}
"""The bots, and how many conversations each has had."""


@dataclass
class Figures:
    """What happened in a soak."""

    syncs: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    broken_answers: int = 0
    outages: int = 0
    records: int = 0
    wrong: list[str] = field(default_factory=list)


class Soak:
    """One source and one target, with chances of their own."""

    def __init__(self, seed: int, folder: Path, warehouse: Database, bots: Mapping[str, int]) -> None:
        self.folder = folder
        self.figures = Figures()
        self._random = choose = random.Random(seed)
        now = int(time.time()) * 1000
        archive = Archive(seed)
        self._bots = bots
        for bot_name, conversations in bots.items():
            archive.add_bot(bot_name, conversations, now - 60 * DAY, now)
        self.faults = Sometimes(0.08, seed)
        behaviour = Behaviour(
            select_by=choose.choice(SELECT_BY),
            order=choose.choice(ORDERS),
            end_inclusive=choose.random() < 0.5,
            times=choose.choice(TIME_FORMATS),
            requests_per_second=0,
            latency=0.02,
        )
        self.sandbox = Sandbox(archive, behaviour, is_living=True, fault=self.faults)
        self._state = folder / "state.json"
        self._config = folder / "tap.json"
        self._target = folder / "target.json"
        self._warehouse = warehouse
        settings = {"sqlalchemy_url": warehouse.sqlalchemy_url, "default_target_schema": SCHEMA}
        self._target.write_text(json.dumps(settings))

    def run(self, seconds: float) -> Figures:
        """Sync again and again, and hold the target against the source at the end."""
        until = time.monotonic() + seconds
        with ExitStack() as stack:
            url = stack.enter_context(self.sandbox.running())
            port = int(url.rpartition(":")[2])
            while time.monotonic() < until:
                self._configure(url)
                if self._random.random() < 0.3:
                    stack.close()  # the server is away until the tap has begun
                    stack.enter_context(self._away_for(self._random.uniform(1, 4), port))
                self._sync(kill_after=self._random.choice([None, self._random.uniform(0.3, 8)]))
            self.sandbox.is_living = False
            for _ in range(MOST_TRIES):
                if self._sync(kill_after=None) == "complete":
                    break
        self._compare()
        self.figures.requests = len(self.sandbox.requests)
        self.figures.broken_answers = self.faults.broken
        return self.figures

    def _away_for(self, seconds: float, port: int) -> ExitStack:
        """Serve from some moment on, and not before."""
        self.figures.outages += 1
        serving = ExitStack()

        def come_back() -> None:
            time.sleep(seconds)
            serving.enter_context(self.sandbox.running(port))

        back = threading.Thread(target=come_back)
        back.start()
        outer = ExitStack()
        outer.callback(serving.close)
        outer.callback(back.join)
        return outer

    def _configure(self, url: str) -> None:
        settings = {
            "concurrency": self._random.choice([1, 3, 16]),
            "page_size": self._random.choice([20, 50, 100]),
            "window_days": self._random.choice([1, 7, 30]),
            "request_timeout": 1,
            "start_date": time.strftime("%Y-%m-%d", time.gmtime(time.time() - 61 * 86_400)),
        }
        self._config.write_text(json.dumps(config_for(url, *self._bots, **settings)))

    def _sync(self, kill_after: float | None) -> str:
        """Run the tap into the target; gives how that ended."""
        arguments: list[str | Path] = ["--config", self._config]
        if self._state.exists():
            arguments += ["--state", self._state]
        with tempfile.TemporaryFile("w+") as log, tempfile.TemporaryFile("w+") as states:
            tap = subprocess.Popen([TAP, *arguments], stdout=subprocess.PIPE, stderr=log)  # noqa: S603
            target = subprocess.Popen(  # noqa: S603
                [TARGET, "--config", self._target], stdin=tap.stdout, stdout=states, stderr=subprocess.DEVNULL
            )
            assert tap.stdout
            tap.stdout.close()
            killed = ""
            if kill_after is not None:
                with suppress(subprocess.TimeoutExpired):
                    tap.wait(kill_after)
                victim = self._random.choice([tap, tap, target])
                if victim.poll() is None:
                    how = self._random.choice(SIGNALS)
                    victim.send_signal(how)
                    killed = f"{'tap' if victim is tap else 'target'} ended by {how.name}"
            tap.wait()
            target.wait()
            self._keep_state(states)
            log.seek(0)
            said = log.read()
        self.figures.wrong += [f"the log says {leak!r}" for leak in leaks(said)]
        if killed:
            outcome = killed
        elif tap.returncode == 0 and target.returncode == 0:
            outcome = "complete"
        else:
            outcome = "ended by an error"
            self.figures.wrong += said.splitlines()[-3:]
        self.figures.syncs[outcome] += 1
        return outcome

    def _keep_state(self, states: TextIO) -> None:
        states.seek(0)
        for line in states:
            with suppress(json.JSONDecodeError):
                state: Json = json.loads(line)
                self._state.write_text(json.dumps(state))

    def _compare(self) -> None:
        for stream in STREAMS:
            expected = expected_rows(self.sandbox, stream)
            self.figures.records += len(expected)
            self.figures.wrong += differences(expected, warehouse_rows(self._warehouse, stream))


@click.command()
@click.option("--minutes", default=30.0, show_default=True, help="For how long.")
@click.option("--each", default=3.0, show_default=True, help="Minutes after which another source and target begin.")
@click.option("--seed", default=1, show_default=True, help="Decides what goes wrong.")
def main(minutes: float, each: float, seed: int) -> None:
    """Soak the tap, and print what happened."""
    until = time.monotonic() + minutes * 60
    failed = False
    while time.monotonic() < until:
        with tempfile.TemporaryDirectory() as folder, server(Path(folder, "data")) as warehouse:
            soak = Soak(seed, Path(folder), warehouse, BOTS)
            figures = soak.run(min(each * 60, until - time.monotonic()))
        equal = "differ" if figures.wrong else "are equal"
        click.echo(f"Source and target {equal} after {figures.syncs.total()} syncs.")
        click.echo(json.dumps({"seed": seed, "behaviour": asdict(soak.sandbox.behaviour), **vars(figures)}))
        failed = failed or bool(figures.wrong)
        seed += 1
    sys.exit(failed)


if __name__ == "__main__":
    main()
