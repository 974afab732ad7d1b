"""What is to be hidden, through the real Meltano into PostgreSQL: from settings, environments and the selection."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.archive import Archive
from sandbox.contract import STREAMS
from sandbox.postgres import Database
from tap_deepconverse.tap import TapDeepConverse
from tests.conftest import Serve, WriteJson
from tests.leaks import leaks
from tests.recipes import Folder, new_project
from tests.warehouses import program

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
def project(serve: Serve, tmp_path: Path, database: Database) -> Folder:
    program("target-postgres")
    _, url = serve()
    project = new_project(tmp_path / "project", url, ["bot"], TARGET_POSTGRES_SQLALCHEMY_URL=database.sqlalchemy_url)
    path = project.path / "meltano.yml"
    declared = yaml.safe_load(path.read_text())
    declared["plugins"]["extractors"] += [
        {"name": "tap-child", "inherit_from": "tap-deepconverse"},
        {"name": "tap-nulls", "inherit_from": "tap-deepconverse", "config": {"stream_maps": NULLS}},
        {"name": "tap-masked", "inherit_from": "tap-deepconverse", "config": {"stream_maps": MASK}, "select": SELECT},
    ]
    for name, extractors in ENVIRONMENTS.items():
        plugins = [{"name": extractor, "config": config} for extractor, config in extractors.items()]
        declared["environments"] += [{"name": name, "config": {"plugins": {"extractors": plugins}}}]
    path.write_text(yaml.safe_dump(declared, sort_keys=False))
    return project


def run(project: Folder, extractor: str, environment: str) -> tuple[int, str]:
    """Load into a schema of the environment's name; gives the status and what was said."""
    schema = f"TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA={environment}"
    done = project.start(f"{schema} meltano --environment={environment} run {extractor} target-postgres")
    output, log = done.communicate(timeout=300)
    return done.returncode, log + output


def tables(database: Database, schema: str) -> list[list[dict[str, Any]]]:
    """The rows of each stream."""
    there = f"SELECT 1 AS one FROM information_schema.tables WHERE table_schema = '{schema}'"  # noqa: S608
    streams = STREAMS if database.execute(there) else ()
    queries = [f"SELECT to_jsonb(t) AS row FROM {schema}.{stream} t" for stream in streams]  # noqa: S608
    return [[each["row"] for each in database.execute(query)] for query in queries]


def columns(found: list[dict[str, Any]]) -> set[str]:
    return {name for row in found for name in row if not name.startswith("_sdc")}


@pytest.mark.parametrize(
    ("extractor", "environment"),
    [("tap-masked", "dev"), ("tap-nulls", "dev"), *zip(["tap-child"] * 3, ENVIRONMENTS, strict=False)],
)
def test_a_mask_as_meltano_hands_it_over_masks_or_the_run_fails(
    project: Folder, database: Database, archive: Archive, extractor: str, environment: str
) -> None:
    """It hands over `{}` for the mask of a parent and for nulls, and itself fails on the nulls of an environment."""
    status, log = run(project, extractor, environment)
    if status:
        assert (extractor, environment) not in {("tap-masked", "dev"), ("tap-child", "masks")}, log
        assert EMPTY in log or "KeyError: 'stream_maps.conversations.metadata'" in log
        assert tables(database, environment) == []
        return
    conversations, messages = tables(database, environment)
    for row in conversations:
        email = archive.conversations["bot"][row["_id"]]["metadata"]["browser_userMeta"]["email"]
        assert row["customer"] == hashlib.sha256(email.encode()).hexdigest()
    assert len(conversations) == len(archive.conversations["bot"])
    assert {len(row["conversationId"]) for row in messages} == {64}
    assert leaks(json.dumps([conversations, messages])) == set()
    left_out = {"bot_name", "locale"} if extractor == "tap-masked" else set()
    assert columns(conversations).isdisjoint({"metadata", *left_out})


def test_what_an_environment_excludes_beside_an_older_catalog(
    project: Folder, database: Database, archive: Archive, write_json: WriteJson
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
    project.variables = {**project.variables, "TAP_CHILD__CATALOG": str(write_json(catalog, "catalog.json"))}
    status, log = run(project, "tap-child", "excludes")
    assert status == 0, log
    for name in ("locale", "outMsg"):
        assert f"the catalog has no column `{name}`" in log
    conversations, messages = tables(database, "excludes")
    assert {row["_id"] for row in messages} == archive.messages["bot"].keys()
    kept = {name for row in conversations for name in row["metadata"]}
    assert kept - {"draft"} == {"browser_hostname", "browser_path", "browser_isMobile", "origin", "cartValue"}
    assert columns(conversations) == {"_id", "startTime", "lastActionAt", "metadata", "additional_fields"}
    assert columns(messages).isdisjoint({"bot_name", "userInput", "outMsg"})
    assert leaks(json.dumps([conversations, messages])) == set()
