"""The recipes for what runs every hour and every night, one after the other in one project, into PostgreSQL."""

import os
import signal
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flask import Response

from sandbox import postgres
from sandbox.archive import DAY, Archive, Record
from sandbox.contract import STREAMS
from sandbox.demo import SCHEMA
from sandbox.faults import asked
from sandbox.postgres import Database
from tests.conftest import Serve, WriteJson
from tests.recipes import (
    BOTS,
    START,
    block_of_file,
    blocks,
    bots_read_from,
    columns_of,
    new_project,
    states,
    two_bots,
)
from tests.support import config_for
from tests.warehouses import Warehouse

BOT = BOTS[0]
STATE = "dev:tap-deepconverse-to-target-postgres"
COLUMNS = f"""
SELECT attname AS name, format_type(atttypid, atttypmod) AS type, quote_ident(attname) AS quoted FROM pg_attribute
WHERE attrelid IN ({", ".join(f"'{SCHEMA}.{stream}'::regclass" for stream in STREAMS)}) AND attnum > 0
"""  # noqa: S608
JANUARY_2025, APRIL_2025, JULY_2025 = (
    int(datetime(2025, month, 1, tzinfo=UTC).timestamp()) * 1000 for month in (1, 4, 7)
)
MARCH_2024 = int(datetime(2024, 3, 1, tzinfo=UTC).timestamp()) * 1000


@dataclass
class Pipeline:
    """A source, and the database that it is loaded into."""

    archive: Archive
    database: Database

    def __post_init__(self) -> None:
        self.now = self.archive.lived_until

    def converse(self, began_days_ago: int, ended_days_ago: int) -> Record:
        """Hold a conversation, whose one message is at its end."""
        conversation = self.archive.begin(BOT, self.now - began_days_ago * DAY)
        self.archive.say(BOT, conversation, self.now - ended_days_ago * DAY, {"outMsg": "…"})
        return conversation

    def messages(self, *conversations: Record) -> set[str]:
        """The ids of the messages of some conversations."""
        ids = {conversation["_id"] for conversation in conversations}
        return {key for key, message in self.archive.messages[BOT].items() if message["conversationId"] in ids}

    def forget(self, *conversations: Record) -> None:
        """Let the source delete some conversations, with their messages."""
        for key in self.messages(*conversations):
            del self.archive.messages[BOT][key]
        for conversation in conversations:
            del self.archive.conversations[BOT][conversation["_id"]]

    def ids(self, stream: str, where: str) -> set[str]:
        query = f"SELECT _id FROM {SCHEMA}.{stream} WHERE {where}"  # noqa: S608
        return {row["_id"] for row in self.database.execute(query)}

    def flagged(self, stream: str) -> set[str]:
        return self.ids(stream, "_sdc_deleted_at IS NOT NULL")


def test_hourly_a_backfill_and_nightly(
    serve: Serve, tmp_path: Path, in_postgres: Warehouse, database: Database, write_json: WriteJson
) -> None:
    """Each recipe finds the database and the state as the one before has left them, to save time."""
    sandbox, url = serve(two_bots())
    archive = sandbox.archive
    project = new_project(tmp_path, url, *BOTS, **in_postgres.variables)
    project.programs = [postgres.programs()]
    pipeline = Pipeline(archive, database)
    long_ended = pipeline.converse(began_days_ago=50, ended_days_ago=49)
    began_before = pipeline.converse(began_days_ago=40, ended_days_ago=5)
    in_reach = pipeline.converse(began_days_ago=8, ended_days_ago=5)
    scrubbed = pipeline.converse(began_days_ago=20, ended_days_ago=19)
    went_on = pipeline.converse(began_days_ago=15, ended_days_ago=4)
    project.follow("Run every hour")
    assert in_postgres.wrong_rows(sandbox) == []
    columns = pipeline.database.execute(COLUMNS)
    found = {column["name"]: f"`{column['quoted']}` {column['type']}" for column in columns}
    assert found.items() >= columns_of("PostgreSQL").items()
    assert bots_read_from(sandbox, START) == {*BOTS}

    in_march = [archive.hold_conversation(BOT, MARCH_2024 + day * DAY, pipeline.now) for day in range(1, 31)]
    project.follow("Backfill a fixed span")
    assert in_postgres.wrong_rows(sandbox) == []
    assert bots_read_from(sandbox, "2024-03-01") == {*BOTS}
    assert states(project).keys() == {STATE}

    lost = pipeline.messages(began_before, in_reach)
    pipeline.forget(in_march[0], long_ended, began_before, in_reach)
    scrubbed["metadata"]["browser_userMeta"]["email"] = None
    project.follow("Look back further every night")
    project.follow("Flag what the source has deleted")
    assert bots_read_from(sandbox, START) == set()  # the job and `meltano run` have one state
    assert pipeline.flagged("conversations") == {in_reach["_id"]}
    assert pipeline.flagged("messages") == lost
    row = in_postgres.rows("conversations")[scrubbed["_id"]]
    assert row["metadata"]["browser_userMeta"]["email"] is None

    # Only what is gone is flagged, also where the API selects by the start: not read again are conversations that began
    # before the start date, though one went on after it, and those of another bot; one is back in the source.
    archive.conversations[BOT][in_reach["_id"]] = in_reach
    sandbox.behaviour = replace(sandbox.behaviour, select_by="startTime")
    began = datetime.now(UTC)
    start = began - timedelta(days=10)
    recent = [each for each in archive.conversations[BOT].values() if each["startTime"] > start.timestamp() * 1000]
    gone = next(each for each in recent if each["lastActionAt"] < pipeline.now - 5 * DAY)
    lost = pipeline.messages(gone) | pipeline.flagged("messages")
    pipeline.forget(gone)
    in_postgres.load(write_json(config_for(url, BOT, start_date=start.isoformat())))
    arguments = f"--set=began={began.isoformat()} --set=days=30 --set=start_date={start.isoformat()} --file=deleted.sql"
    assert project.run(f'psql "$DATABASE_URL" {arguments}')[0] == 0
    before = pipeline.ids("conversations", f"_sdc_extracted_at < '{began.replace(tzinfo=None)}'")
    assert before > {went_on["_id"], gone["_id"]}
    assert pipeline.flagged("conversations") == {gone["_id"]}
    assert pipeline.flagged("messages") == lost


def test_a_backfill_of_years_that_is_stopped_goes_on_where_the_run_before_ended(
    serve: Serve, tmp_path: Path, in_postgres: Warehouse
) -> None:
    archive = Archive(seed=3)
    archive.add_bot(BOT, 100, JANUARY_2025, JULY_2025)
    sandbox, url = serve(archive)
    ((command, _),) = blocks("Fill several years")[1].commands
    project = new_project(tmp_path, url, BOT, **in_postgres.variables)
    (tmp_path / "backfill.sh").write_text(block_of_file("backfill.sh").text)
    stopped = project.start(command)

    def stop_in_the_second_run(answer: Response) -> Response:
        if int(asked()["end_time"]) * 1000 > APRIL_2025:
            # Once only: a second one would end Meltano before it has noted that the run is over.
            sandbox.fault = None
            os.killpg(stopped.pid, signal.SIGINT)
        return answer

    sandbox.fault = stop_in_the_second_run
    _, log = stopped.communicate()
    assert stopped.returncode != 0, log
    assert bots_read_from(sandbox, START) == {BOT}
    assert project.run(command)[0] == 0
    assert bots_read_from(sandbox, START) == set()
    assert in_postgres.wrong_rows(sandbox) == []
