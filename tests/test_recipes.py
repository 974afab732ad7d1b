"""What `docs/recipes.md` says works as it is printed."""

import json
import re
from pathlib import Path

import pytest

from sandbox.archive import Archive
from tests.conftest import Serve, WriteJson
from tests.leaks import leaks
from tests.recipes import (
    BOTS,
    DOCUMENT,
    START,
    Folder,
    blocks,
    bots_read_from,
    new_project,
    sections,
    states,
    two_bots,
)
from tests.support import ROOT, config_for, table_cells
from tests.warehouses import Warehouse, program


@pytest.fixture
def archive() -> Archive:
    return two_bots()


def test_into_what_has_rules_of_its_own(serve: Serve, tmp_path: Path, archive: Archive) -> None:
    _, url = serve()
    project = new_project(tmp_path, url, *BOTS)
    project.follow("Load into what has rules of its own")
    assert project.run("meltano invoke tap-deepconverse > messages.jsonl")[0] == 0
    messages = [json.loads(line) for line in (project.path / "messages.jsonl").read_text().splitlines()]
    schemas = {message["stream"]: message for message in messages if message["type"] == "SCHEMA"}
    assert schemas["messages"]["schema"]["properties"]["_id"]["maxLength"] == 255
    assert schemas["conversations"]["key_properties"] == ["conversation_id"]
    records = [message for message in messages if message["type"] == "RECORD"]
    found = [message["record"] for message in records if message["stream"] == "conversations"]
    ids = {record["conversation_id"] for record in found}
    assert ids == {key for records in archive.conversations.values() for key in records}
    assert not any("_id" in record for record in found)
    without = json.loads(project.run("sh catalog.sh")[1])
    assert len(without["streams"]) == len(schemas)
    assert not any("$schema" in entry["schema"] for entry in without["streams"])


def test_fewer_fields_with_other_types_on_one_of_several_machines(
    serve: Serve, tmp_path: Path, archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    conversations = archive.conversations["r3-218210"]
    for conversation in conversations.values():
        conversation["csat"] = "4"
    sandbox, url = serve()
    types = {"csat": {"type": ["integer", "null"]}, "metadata": {"type": ["string", "null"]}}
    project = new_project(tmp_path, url, TAP_DEEPCONVERSE__SCHEMA=json.dumps({"conversations": types}))
    project.follow("Choose bots, streams and fields")
    project.follow("Share bots out over several machines")
    log = capsys.readouterr().err
    assert "Beginning sync of 'conversations'" in log
    assert "METRIC" not in log
    written = [json.loads(line) for line in (tmp_path / "output/conversations.jsonl").read_text().splitlines()]
    assert {row["_id"] for row in written} == conversations.keys()
    for row in written:
        assert {"_id", "lastActionAt", "tags"} <= row.keys()
        assert "locale" not in row
        assert row["csat"] == 4
        assert json.loads(row["metadata"])["__sys_channel"] == "web"
    assert leaks(json.dumps([row["metadata"] for row in written])) == set()
    assert {query["endpoint"] for query in sandbox.requests} == {"conversations"}
    assert states(project).keys() == {"dev:tap-deepconverse-to-target-jsonl:machine-2"}


def test_without_meltano(serve: Serve, tmp_path: Path, write_json: WriteJson, in_jsonl: Warehouse) -> None:
    """The state is kept whatever happens: a bot that fails, a target that dies."""
    sandbox, url = serve()
    folder = Folder(tmp_path, url, programs=[program("target-jsonl").parent])
    write_json(in_jsonl.settings, "target.json")
    write_json(config_for(url, *BOTS, start_date=START))
    state = tmp_path / "state.json"
    folder.follow("Run without Meltano, with cron")
    first = state.read_text()
    assert in_jsonl.wrong_rows(sandbox) == []
    sandbox.requests.clear()

    sandbox.archive.live(sandbox.archive.lived_until + 5_000)
    write_json(config_for(url, *BOTS, "nobody", start_date=START))
    assert folder.run("bash sync.sh")[0] == 1
    assert bots_read_from(sandbox, START) == {"nobody"}
    second = state.read_text()
    assert json.loads(second)["bookmarks"] != json.loads(first)["bookmarks"]
    assert in_jsonl.wrong_rows(sandbox) == []

    dying = tmp_path / "bin" / "target-jsonl"
    dying.parent.mkdir()
    dying.write_text("#!/bin/sh\ncat > /dev/null\nprintf '{\"bookm'\nexit 3\n")
    dying.chmod(0o755)
    folder.programs.insert(0, dying.parent)
    assert folder.run("bash sync.sh")[0] == 3
    assert state.read_text() == second


def test_every_block_is_run_or_says_why_not() -> None:
    followed = {"console", "file", "part of", "meltano.yml", "not run"}
    assert {each.kind for heading in sections() for each in blocks(heading)} == followed
    assert DOCUMENT.read_text().count("```") == 2 * sum(len(blocks(heading)) for heading in sections())
    assert all(each.name for heading in sections() for each in blocks(heading) if each.kind == "not run")


def test_the_figures_of_scale_are_those_that_were_measured() -> None:
    results = (ROOT / "benchmarks/RESULTS.md").read_text()
    measured = {figure for row in table_cells(results) for cell in row for figure in re.findall(r"^[\d.]+ s$", cell)}
    named = re.findall(r"[\d.]+ s\b", " ".join(sections()["Scale"].split()))
    assert named
    assert {*named} <= measured
