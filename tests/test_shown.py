"""Each error reaches the person who runs the tap: on standard error, in a sentence, whatever logging does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tap_deepconverse.streams import Conversations
from tap_deepconverse.tap import TapDeepConverse
from tests.conftest import Serve, WriteJson
from tests.support import TAP, Command, command, config_for, one_window

CONSOLE = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"}
ROOT = {"handlers": ["console"], "level": "INFO"}
STRUCTURED = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"s": {"()": "singer_sdk.logging.StructuredFormatter"}},
    "handlers": {"console": {**CONSOLE, "formatter": "s"}},
    "root": ROOT,
}
"""As Meltano writes it."""
NEVER = "http://127.0.0.1:1"


def run(*arguments: str | Path, **environment: str) -> Command:
    done = command(*arguments, env={**os.environ, **environment})
    assert "Traceback" not in done.log
    return done


@pytest.mark.parametrize(
    "logging_config",
    [
        {},
        {"disable_existing_loggers": True},
        {"handlers": {"console": {**CONSOLE, "level": "CRITICAL"}}, "root": ROOT},
        {"handlers": {"console": {"class": "logging.FileHandler", "filename": "/dev/null"}}, "root": ROOT},
        {"loggers": {"tap-deepconverse": {"propagate": False, "level": "ERROR"}}},
        STRUCTURED,
    ],
)
def test_the_reason_is_on_standard_error(write_json: WriteJson, logging_config: Any) -> None:
    config = write_json(config_for(NEVER, page_size=5000))
    path = write_json({"version": 1, **logging_config}, "logging.json")
    done = run("--config", config, SINGER_SDK_LOG_CONFIG=str(path))
    assert done.status == 1
    assert "`page_size` must be a whole number from 1 to 1000." in done.log


@pytest.mark.parametrize(
    ("level", "said"),
    [
        ("critical", "`api_key` is missing"),
        ("chatty", "TAP_DEEPCONVERSE_LOGLEVEL and LOGLEVEL must be DEBUG, INFO, WARNING or ERROR"),
    ],
)
def test_the_loudest_of_levels_hides_no_reason(write_json: WriteJson, level: str, said: str) -> None:
    done = run("--config", write_json({}), LOGLEVEL=level)
    assert done.status == 1
    assert said in done.log


@pytest.mark.parametrize(
    "text",
    [
        b"[]", b"", b"version: 2", b'{"version": 1, "root": 7}', b"\xff", b'{"api_key": "S3CRET"}: "',
        b'{"version": 1, "handlers": {"f": {"class": "logging.FileHandler", "filename": "/nowhere/log"}}}',
    ],
)  # fmt: skip
def test_a_broken_logging_configuration_is_a_sentence(write_json: WriteJson, tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "logging.yaml"
    path.write_bytes(text)
    done = run("--config", write_json({}), SINGER_SDK_LOG_CONFIG=str(path))
    assert done.status == 1
    (line,) = done.log.splitlines()
    assert "SINGER_SDK_LOG_CONFIG must name a YAML or JSON file" in line


def test_a_log_without_its_configuration_has_no_metrics(serve: Serve, write_json: WriteJson) -> None:
    _, url = serve()
    done = run("--config", write_json(one_window(url)), SINGER_SDK_LOG_CONFIG="/nowhere/logging.json", LOGLEVEL=" ")
    assert done.status == 0
    assert "not found: /nowhere/logging.json" in done.log
    assert "METRIC" not in done.log


def test_a_level_of_the_tap_s_own_holds_against_meltano_s_configuration(serve: Serve, write_json: WriteJson) -> None:
    _, url = serve()
    logging_config = str(write_json(STRUCTURED, "logging.json"))
    arguments = ("--config", write_json(config_for(url, start_date="2026-09-01")))
    assert run(*arguments, SINGER_SDK_LOG_CONFIG=logging_config, TAP_DEEPCONVERSE_LOGLEVEL="WARNING").log == ""
    assert '"level":"info"' in run(*arguments, SINGER_SDK_LOG_CONFIG=logging_config).log


FULL = "No space left on device"


@pytest.mark.parametrize(
    ("run", "said", "status"),
    [
        ("exec TAP >/dev/full", FULL, 1),
        ("PYTHONUNBUFFERED=1 exec TAP >/dev/full", FULL, 1),
        ("exec TAP --discover >/dev/full", FULL, 1),
        ("exec TAP --about >/dev/full", FULL, 1),
        ("exec TAP --version >/dev/full", FULL, 1),
        ("exec TAP --test >/dev/full", FULL, 1),
        ("exec TAP >&-", "Standard output is closed: the tap writes its messages there, for a target or a file.", 1),
        ("exec TAP 2>&-", "", 0),
    ],
)
def test_a_full_disk_is_said_and_a_closed_log_stops_nothing(
    serve: Serve, write_json: WriteJson, run: str, said: str, status: int
) -> None:
    _, url = serve()
    script = run.replace("TAP", f"'{TAP}' --config '{write_json(one_window(url))}'")
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == status
    assert said in "".join(done.stderr.splitlines()[-1:])
    assert "Traceback" not in done.stderr
    assert ('"type":"STATE"' in done.stdout) == (status == 0)


def test_a_failing_test_leaves_no_file_open(write_json: WriteJson) -> None:
    arguments = ["--config", write_json(config_for(NEVER)), "--state", write_json({}, "state.json"), "--test"]
    command = [sys.executable, "-W", "always", str(TAP), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 1
    assert "ResourceWarning" not in done.stderr


def catalog(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(json.dumps(TapDeepConverse(validate_config=False).catalog_dict))
    for entry in whole["streams"]:
        entry.update(changes)
    return whole


def schema(**changes: Any) -> dict[str, Any]:
    return {"schema": {"properties": {**Conversations.schema["properties"], **changes}}}


def metadata(*breadcrumb: str, **values: Any) -> dict[str, Any]:
    return {"metadata": [{"breadcrumb": breadcrumb, "metadata": {k.replace("_", "-"): v for k, v in values.items()}}]}


def run_with(catalog: Any, write_json: WriteJson, url: str = NEVER) -> Command:
    return command("--config", write_json(config_for(url)), "--catalog", write_json(catalog, "catalog.json"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"streams": [7, None]}, "has none of this tap's streams, which are 'conversations' and 'messages'"),
        (catalog(metadata=[None]), "'conversations': its `schema` and `metadata` are not of the form"),
        (catalog(**schema(locale={"type": "strng"})), "is not JSON Schema (see $.properties.locale.type)"),
        (catalog(schema={"properties": {"lastActionAt": {"type": "string"}}}), "its `schema` lacks '_id', which is a"),
        (catalog(schema={"properties": {"_id": {"type": "string"}}}), "its `schema` lacks 'lastActionAt', which is a"),
        (catalog(**metadata("properties", "locale", selected="no")), "a `selected` that is neither true nor false"),
        (catalog(replication_key=None, **metadata(replication_key="updatedAt")), "its `schema` lacks 'updatedAt'"),
        (catalog(replication_key="locale"), "its `replication_key` is not one of its time fields"),
        ({"streams": [*catalog()["streams"], catalog()["streams"][0]]}, "The catalog has a stream twice"),
        (catalog(key_properties=["bot_name"]), "its `key_properties` lack '_id'"),
        *(
            (catalog(**schema(tags={"type": "string"}), **metadata(*place, selected=False)), "deselects")
            for place in (
                ["metadata"], ["properties.metadata"], ["properties", "Metadata"], ["properties", "metadata "],
                ["Properties", "metadata"], ["properties", "metadata", "x"], ["properties", "tags", "properties", "x"],
                ["properties", "metadata", "properties", "x", "items", "y"],
            )
        ),
        (catalog(replication_method="LOG_BASED"), "replication method is not one of this tap's, which are INCREMENTAL"),
        (catalog(replication_method=None, **metadata(replication_method="FULL-TABLE")), "replication method is not"),
    ],
)  # fmt: skip
def test_a_catalog_that_cannot_be_used_is_one_sentence(write_json: WriteJson, given: Any, said: str) -> None:
    done = run_with(given, write_json)
    last = done.log.splitlines()[-1]
    assert done.status == 1
    assert [text for text in ("The catalog ", said, "--discover") if text not in last] == []


@pytest.mark.parametrize(
    ("changes", "method"),
    [
        ({"replication_method": " full_table ", **metadata(selected=True)}, "full_table"),
        ({"replication_method": "incremental", "replication_key": None, "metadata": []}, "incremental"),
        (metadata(replication_method=" FULL_table", selected=True), "full_table"),
        (metadata(replication_method="Incremental", selected=True), "incremental"),
    ],
)
def test_a_replication_method_is_read_in_any_case_wherever_it_stands(
    serve: Serve, write_json: WriteJson, changes: dict[str, Any], method: str
) -> None:
    _, url = serve()
    given = catalog(**changes)
    given["streams"].append({"tap_stream_id": "users", "metadata": None})
    done = run_with(given, write_json, url)
    assert f"Beginning sync of 'messages' in {method} mode" in done.log
    assert bool(done.bookmark("messages")) == (method == "incremental")
    assert "The catalog names 'users', which this tap does not have" in done.log


def test_a_part_of_a_definition_is_merged_and_a_bot_name_that_is_left_out_stays_out(
    serve: Serve, write_json: WriteJson
) -> None:
    """As Meltano writes `schema: {conversations: {_id: {maxLength: 255}}}`."""
    _, url = serve()
    given = catalog()
    for entry in given["streams"]:
        entry["schema"]["properties"]["_id"] = {"maxLength": 255}
        del entry["schema"]["properties"]["bot_name"]
    done = run_with(given, write_json, url)
    assert done.status == 0
    for message in done.messages:
        if message["type"] == "SCHEMA":
            assert message["schema"]["properties"]["_id"].items() >= {"type": ["string"], "maxLength": 255}.items()
            assert "bot_name" not in message["schema"]["properties"]
        assert "bot_name" not in message.get("record", ())


def test_keys_cannot_be_deselected_and_without_metadata_all_is_selected(serve: Serve, write_json: WriteJson) -> None:
    _, url = serve()
    given = catalog(metadata=[])
    for name in (None, "_id", "lastActionAt", "locale"):
        (place,) = metadata(*(["properties", name] if name else []), selected=not name)["metadata"]
        given["streams"][0]["metadata"].append(place)
    done = run_with(given, write_json, url)
    assert {("locale" in each, "lastActionAt" in each, "_id" in each) for each in done.records("conversations")} == {
        (False, True, True)
    }
    assert done.bookmark("conversations")
    assert done.bookmark("messages")


def test_a_name_that_is_twice_in_a_file_is_refused(write_json: WriteJson, tmp_path: Path) -> None:
    path = tmp_path / "catalog.json"
    path.write_text('{"streams": [{"tap_stream_id": "messages", "metadata": [], "metadata": []}]}')
    done = command("--config", write_json(config_for(NEVER)), "--catalog", path)
    assert done.status == 1
    assert "given as `--catalog` must hold one JSON object in UTF-8 (a name is there twice" in done.log


def test_a_column_that_a_catalog_declares_without_null_may_be_null_unless_it_is_a_key() -> None:
    config = {"api_key": "any", "bot_names": ["any"], "start_date": "2026-01-01"}
    given = catalog(stream="chats", **schema(locale={"type": "string"}, _id={"type": "string"}))
    given["streams"] = given["streams"][:1]
    entry = TapDeepConverse(config=config, catalog=given).catalog["conversations"]
    fields = entry.schema.to_dict()["properties"]
    assert fields["locale"]["type"] == ["string", "null"]
    assert fields["_id"]["type"] == "string"
    assert entry.stream == "conversations"


def test_a_run_in_which_nothing_is_selected_warns(write_json: WriteJson) -> None:
    done = run_with(catalog(**metadata(selected=False)), write_json)
    assert done.status == 0
    assert done.log.count("No stream is selected in the catalog, so nothing is read.") == 1
