"""Syncs, one after the other, while everything fails that can: `make soak`.

Five bots talk on while the tap reads them, by the real command into the real `target-postgres`. Answers are broken in
every way that the sandbox knows, and the tap or the target is killed at random moments. At the end, target and source
must be equal.
"""

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import click

from sandbox.archive import DAY, Archive
from sandbox.check import differences, expected_rows
from sandbox.contract import STREAMS
from sandbox.demo import SCHEMA, warehouse_rows
from sandbox.faults import Sometimes
from sandbox.postgres import Database, server
from sandbox.server import ORDERS, SELECT_BY, TIME_FORMATS, Behaviour, Sandbox
from tests.leaks import leaks
from tests.support import ROOT, TAP, config_for

TARGET = ROOT / ".meltano/loaders/target-postgres/venv/bin/target-postgres"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
MOST_TRIES = 10
BOTS = {"busy": 1000, "calm": 300, "small": 100, "single": 1, "silent": 0}
"""The bots, and how many conversations each has had."""


class Soak:
    """One source and one target, with chances of their own."""

    def __init__(self, seed: int, folder: Path, warehouse: Database, bots: Mapping[str, int]) -> None:
        self.syncs: Counter[str] = Counter()
        self.wrong: list[str] = []
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

    def run(self, seconds: float) -> None:
        """Sync again and again, and hold the target against the source at the end."""
        until = time.monotonic() + seconds
        with self.sandbox.running() as url:
            while time.monotonic() < until:
                self._configure(url)
                self._sync(kill_after=self._random.choice([None, self._random.uniform(0.3, 8)]))
            self.sandbox.is_living = False
            for _ in range(MOST_TRIES):
                if self._sync(kill_after=None) == "complete":
                    break
        for stream in STREAMS:
            self.wrong += differences(expected_rows(self.sandbox, stream), warehouse_rows(self._warehouse, stream))

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
            outcome = ""
            if kill_after is not None:
                with suppress(subprocess.TimeoutExpired):
                    tap.wait(kill_after)
                victim = self._random.choice([tap, tap, target])
                if victim.poll() is None:
                    how = self._random.choice(SIGNALS)
                    victim.send_signal(how)
                    outcome = f"{'tap' if victim is tap else 'target'} ended by {how.name}"
            tap.wait()
            target.wait()
            states.seek(0)
            for line in states:
                with suppress(json.JSONDecodeError):  # what a target that is killed has not ended
                    self._state.write_text(json.dumps(json.loads(line)))
            log.seek(0)
            said = log.read()
        self.wrong += [f"the log says {leak!r}" for leak in leaks(said)]
        if not outcome and (tap.returncode or target.returncode):
            outcome = "ended by an error"
            self.wrong += said.splitlines()[-3:]
        outcome = outcome or "complete"
        self.syncs[outcome] += 1
        return outcome


@click.command()
@click.option("--minutes", default=30.0, show_default=True, help="For how long.")
@click.option("--seed", default=1, show_default=True, help="Decides what goes wrong.")
def main(minutes: float, seed: int) -> None:
    """Soak the tap, with another source and target every three minutes, and print what happened."""
    until = time.monotonic() + minutes * 60
    failed = False
    while time.monotonic() < until:
        with tempfile.TemporaryDirectory() as folder, server(Path(folder, "data")) as warehouse:
            soak = Soak(seed, Path(folder), warehouse, BOTS)
            soak.run(min(180, until - time.monotonic()))
        click.echo(f"Seed {seed}: {len(soak.sandbox.requests)} requests, {soak.faults.broken} broken responses, syncs:")
        click.echo(json.dumps(soak.syncs))
        click.echo("\n".join(soak.wrong) or "Source and target are equal.")
        failed = failed or bool(soak.wrong)
        seed += 1
    sys.exit(failed)


if __name__ == "__main__":
    main()
