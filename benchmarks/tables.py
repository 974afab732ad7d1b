"""What is measured: each function returns the tables of a scenario."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

from rich.table import Table

from benchmarks.contenders import OTHERS, OURS, bookmarks, last_state, other, ours
from benchmarks.data import DAY, HOUR, ONE, Data
from benchmarks.measure import Cost, in_turns, log, serving
from sandbox import postgres
from sandbox.contract import STREAMS

RATE = 3
"""The API's limit, in requests a second."""

UNLIMITED = 100_000
TARGET = Path(".meltano/loaders/target-postgres/venv/bin/target-postgres")


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes:
        rounds: How many times each is run.
        folder: A folder for the files of the runs.
        data: The shape and the order of the data.
    """

    rounds: int
    folder: str
    data: Data


def hourly(plan: Plan) -> list[Table]:
    """The run of each hour: it reads a day's lookback and the new hour."""
    busy = replace(plan.data, conversations=37_200, days=2)
    quiet = replace(plan.data, conversations=280, days=2, bots=20)
    return [_hourly_table(plan, busy), _hourly_table(plan, quiet), _hourly_table(plan, replace(quiet, messages=True))]


def _hourly_table(plan: Plan, data: Data) -> Table:
    latency, hour_ago, first_date = 2.0, data.end - HOUR, data.end - 90 * DAY
    start = hour_ago - DAY  # the lookback's
    streams = STREAMS if data.messages else ONE
    with serving(data, latency, RATE) as api:
        # The run of the hour before. It is not counted.
        earlier = Path(plan.folder, "earlier.jsonl")
        before = ours(
            api, plan.folder, first_date, streams, end=hour_ago, state=bookmarks(api, hour_ago - HOUR, streams)
        )
        log("earlier run", api.measure(f"{before} > {earlier}"))
        states = {"first run": bookmarks(api, hour_ago, streams), "later runs": last_state(earlier)}
        runs = {
            f"{OURS}, {name}": partial(api.measure, ours(api, plan.folder, first_date, streams, state=state))
            for name, state in states.items()
        }
        costs = in_turns(runs, plan.rounds)
        records, minimum = api.needed(start)[1], api.minimum_time(start)
    bots = f"{data.bots} bots" if data.bots else "1 bot"
    both = " and as many messages" if data.messages else ""
    title = f"hourly run, {bots}, {records:,} conversations{both} to read, {latency:g} s per answer"
    return _limited_table(title, costs | ({} if data.messages else _others(data, latency, start)), minimum)


def backfill(plan: Plan) -> list[Table]:
    """A backfill under the limit, by how long an answer takes, beside the others."""
    data = replace(plan.data, conversations=60_000)
    return [_backfill_table(plan, data, latency, beside_others=True) for latency in (0.5, 2.0, 5.0)]


def uneven(plan: Plan) -> list[Table]:
    """A backfill of traffic that is not the same each day."""
    data = replace(plan.data, conversations=60_000)
    return [
        _backfill_table(plan, replace(data, shape=shape), latency)
        for shape in ("weekend", "campaign")
        for latency in (0.5, 2.0, 5.0)
    ]


def long(plan: Plan) -> list[Table]:
    """A long backfill, once."""
    return [_backfill_table(replace(plan, rounds=1), replace(plan.data, conversations=600_000), 0.5)]


def small(plan: Plan) -> list[Table]:
    """A backfill of a small bot over three years: how many requests it takes."""
    return [_backfill_table(plan, replace(plan.data, conversations=2_000, days=3 * 365), 0.5)]


def _backfill_table(plan: Plan, data: Data, latency: float, *, beside_others: bool = False) -> Table:
    with serving(data, latency, RATE) as api:
        costs = in_turns({OURS: partial(api.measure, ours(api, plan.folder, data.start))}, plan.rounds)
        minimum = api.minimum_time(data.start)
    costs |= _others(data, latency, data.start) if beside_others else {}
    shape = f" ({data.shape})" if data.shape != plan.data.shape else ""
    title = f"backfill, {data.conversations:,} conversations in {data.days:g} days{shape}, {latency:g} s per answer"
    return _limited_table(title, costs, minimum)


def cpu(plan: Plan) -> list[Table]:
    """The CPU time that conversations take."""
    data = replace(plan.data, conversations=100_000)
    with serving(data) as api:
        commands = {OURS: ours(api, plan.folder, data.start, requests_per_second=UNLIMITED)}
        commands |= {name: other(name, api, data.start) for name in OTHERS}
        costs = in_turns({name: partial(api.measure, command) for name, command in commands.items()}, plan.rounds)
    plain = costs["plain SDK tap"].cpu
    rows = {
        name: [f"{cost.cpu:.1f} s", f"{cost.cpu / plain:.2f}", f"{cost.wall:.1f} s", f"{cost.memory:.0f} MB"]
        for name, cost in costs.items()
    }
    title = f"{data.conversations:,} conversations, no limit, no latency"
    return [_table(title, ("CPU", "relative to the plain tap", "wall time", "memory"), rows)]


def memory(plan: Plan) -> list[Table]:
    """The peak of memory, by the size of the backfill."""
    sizes = {
        "40,000 conversations": {"conversations": 40_000},
        "400,000 conversations": {"conversations": 400_000},
        "200 bots with 500 conversations each": {"conversations": 500, "bots": 200},
        "20 bots with pages of 40 MB": {"conversations": 1_000, "bots": 20, "days": 1, "padding": 40_000},
    }
    rows = {}
    for name, size in sizes.items():
        data = replace(plan.data, **size)  # type: ignore[arg-type]
        with serving(data) as api:
            command = ours(api, plan.folder, data.start, requests_per_second=UNLIMITED)
            cost = in_turns({OURS: partial(api.measure, command)}, plan.rounds)[OURS]
        rows[name] = [f"{cost.memory:.0f} MB"]
    return [_table("memory of this tap, no limit, no latency", ("peak",), rows)]


def warehouse(plan: Plan) -> list[Table]:
    """The whole way into PostgreSQL, each run into a new database."""
    data = replace(plan.data, conversations=100_000)
    settings = Path(plan.folder, "target.json")
    with serving(data) as api, postgres.server(Path(plan.folder, "postgres")) as server:
        names = (f"run_{number}" for number in count())
        tap = ours(api, plan.folder, data.start, requests_per_second=UNLIMITED)
        dlt = other("dlt rest_api (extract)", api, data.start)

        def run(command: Callable[[postgres.Database], str]) -> Cost:
            database = server.new(next(names))
            cost = api.measure(command(database))
            (rows,) = database.execute("SELECT count(*) FROM deepconverse.conversations")
            assert rows["count"] == data.conversations, rows
            return cost

        def with_target(database: postgres.Database) -> str:
            url = {"sqlalchemy_url": database.sqlalchemy_url, "default_target_schema": "deepconverse"}
            settings.write_text(json.dumps(url))
            return f"{tap} | {TARGET} --config {settings}"

        def with_dlt(database: postgres.Database) -> str:
            # dlt requires a host. The socket in the query has priority over it.
            return f"{dlt} --into '{database.uri.replace('@/', '@localhost/')}'"

        runs = {f"{OURS} and target-postgres": with_target, "dlt rest_api": with_dlt}
        costs = in_turns({name: partial(run, command) for name, command in runs.items()}, plan.rounds)
    title = f"{data.conversations:,} conversations into PostgreSQL, no limit, no latency"
    rows = {name: [f"{cost.cpu:.1f} s", f"{cost.wall:.1f} s", f"{cost.memory:.0f} MB"] for name, cost in costs.items()}
    return [_table(title, ("CPU", "wall time", "memory"), rows)]


def _others(data: Data, latency: float, start: int) -> dict[str, Cost]:
    """Measure the others, each against its own server. They mostly wait, so they do that at the same time."""
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        apis = {name: stack.enter_context(serving(data, latency, RATE)) for name in OTHERS}
        runs = {name: pool.submit(api.measure, other(name, api, start)) for name, api in apis.items()}
        costs = {name: run.result() for name, run in runs.items()}
    for name, cost in costs.items():
        log(name, cost)
    return costs


def _limited_table(title: str, costs: dict[str, Cost], minimum: float) -> Table:
    rows = {
        name: [
            f"{cost.wall:.1f} s",
            f"{minimum:.1f} s",
            f"{cost.wall / minimum:.2f}",
            *(f"{number:.0f}" for number in (cost.requests, cost.refused, cost.at_once)),
        ]
        for name, cost in costs.items()
    }
    return _table(title, ("wall time", "minimum time", "ratio", "requests", "refused", "at once"), rows)


def _table(title: str, columns: tuple[str, ...], rows: dict[str, list[str]]) -> Table:
    table = Table(title)
    for column in columns:
        table.add_column(column, justify="right")
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table
