"""What is to be hidden, through the real Meltano: from settings of environments and of a parent, beside a catalog."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.archive import Archive
from sandbox.contract import STREAMS
from tap_deepconverse.tap import TapDeepConverse
from tests.conftest import Serve, WriteJson
from tests.leaks import leaks
from tests.recipes import Folder, new_project
from tests.support import Output
from tests.warehouses import Warehouse

MASK = {
    "conversations": {"metadata": "__NULL__", "customer": "sha256(metadata['browser_userMeta']['email'])"},
    "messages": {"userInput": "__NULL__", "outMsg": "__NULL__", "conversationId": "sha256(conversationId)"},
}
SELECT = ["conversations.*", "messages.*", "!conversations.bot_name", "!conversations.locale"]
NULLS = {"conversations": {"metadata": None}, "messages": {"userInput": None, "outMsg": None}}
ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "masks": {"tap-child": {"stream_maps": MASK}},
    "masks_of_parent": {"tap-deepconverse": {"stream_maps": MASK}},
    "nulls": {"tap-child": {"stream_maps": NULLS}},
    "excludes": {"tap-child": {"exclude_metadata": [" METADATA.__sys*", "conversations.__sys_userip"]}},
}
EMPTY = "is empty, so it would mask nothing; Meltano drops nulls: write `__NULL__`."


@pytest.fixture
def project(serve: Serve, tmp_path: Path) -> Folder:
    _, url = serve()
    project = new_project(tmp_path, url, "bot")
    path = project.path / "meltano.yml"
    declared = yaml.safe_load(path.read_text())
    declared["plugins"]["extractors"] += [
        {"name": "tap-child", "inherit_from": "tap-deepconverse", "select": SELECT},
        {"name": "tap-nulls", "inherit_from": "tap-deepconverse", "config": {"stream_maps": NULLS}},
    ]
    for name, extractors in ENVIRONMENTS.items():
        plugins = [{"name": extractor, "config": config} for extractor, config in extractors.items()]
        declared["environments"] += [{"name": name, "config": {"plugins": {"extractors": plugins}}}]
    path.write_text(yaml.safe_dump(declared, sort_keys=False))
    return project


def invoke(project: Folder, extractor: str, environment: str) -> tuple[int, Output]:
    """Run an extractor as Meltano does before a loader; gives the status, and what leaves."""
    status, output = project.run(f"meltano --environment={environment} invoke {extractor}")
    return status, Output([json.loads(line) for line in output.splitlines()])


@pytest.mark.parametrize(
    ("extractor", "environment"), [("tap-nulls", "dev"), *zip(["tap-child"] * 3, ENVIRONMENTS, strict=False)]
)
def test_a_mask_as_meltano_hands_it_over_masks_or_the_run_fails(
    project: Folder, archive: Archive, capsys: pytest.CaptureFixture[str], extractor: str, environment: str
) -> None:
    """It hands over `{}` for the mask of a parent and for nulls, and itself fails on the nulls of an environment."""
    status, output = invoke(project, extractor, environment)
    conversations, messages = output.records("conversations"), output.records("messages")
    if status:
        log = capsys.readouterr().err
        assert environment != "masks", log
        assert EMPTY in log or "KeyError: 'stream_maps.conversations.metadata'" in log
        assert conversations == messages == []
        return
    for record in conversations:
        email = archive.conversations["bot"][record["_id"]]["metadata"]["browser_userMeta"]["email"]
        assert record["customer"] == hashlib.sha256(email.encode()).hexdigest()
        assert record.keys().isdisjoint({"metadata", "bot_name", "locale"})
    assert len(conversations) == len(archive.conversations["bot"])
    assert {len(record["conversationId"]) for record in messages} == {64}
    assert leaks(json.dumps(output.messages)) == set()


def test_the_masks_of_an_environment_reach_postgresql_through_an_inheriting_extractor(
    project: Folder, archive: Archive, in_postgres: Warehouse
) -> None:
    project.variables |= in_postgres.variables
    assert project.run("meltano --environment=masks run tap-child target-postgres")[0] == 0
    conversations, messages = (in_postgres.rows(stream) for stream in STREAMS)
    assert conversations.keys() == archive.conversations["bot"].keys()
    assert messages.keys() == archive.messages["bot"].keys()
    assert all("metadata" not in row and "bot_name" not in row for row in conversations.values())
    assert leaks(json.dumps([conversations, messages], default=str)) == set()


def test_what_an_environment_excludes_beside_an_older_catalog(
    project: Folder, archive: Archive, write_json: WriteJson, capsys: pytest.CaptureFixture[str]
) -> None:
    """Meltano applies no `select` to a catalog that it is given."""
    catalog = TapDeepConverse(validate_config=False).catalog_dict
    for entry in catalog["streams"]:
        for name in ("bot_name", "locale", "outMsg"):
            entry["schema"]["properties"].pop(name, None)
            entry["metadata"] = [each for each in entry["metadata"] if name not in each["breadcrumb"]]
        for name in ("tags", "userInput"):
            entry["metadata"] += [{"breadcrumb": ["properties", name], "metadata": {"selected": False}}]
        email = ["properties", "metadata", "properties", "browser_userMeta"]
        entry["metadata"] += [{"breadcrumb": email, "metadata": {"selected": False}}]
    project.variables["TAP_CHILD__CATALOG"] = str(write_json(catalog, "catalog.json"))
    status, output = invoke(project, "tap-child", "excludes")
    log = capsys.readouterr().err
    assert status == 0, log
    for name in ("locale", "outMsg"):
        assert f"the catalog has no column `{name}`" in log
    conversations, messages = output.records("conversations"), output.records("messages")
    assert {record["_id"] for record in messages} == archive.messages["bot"].keys()
    kept = {name for record in conversations for name in record["metadata"]}
    assert kept - {"draft"} == {"browser_hostname", "browser_path", "browser_isMobile", "origin", "cartValue"}
    assert columns(conversations) == {"_id", "startTime", "lastActionAt", "metadata", "additional_fields"}
    assert columns(messages).isdisjoint({"bot_name", "userInput", "outMsg"})
    assert leaks(json.dumps(output.messages)) == set()


def columns(records: list[dict[str, Any]]) -> set[str]:
    return {name for record in records for name in record}
