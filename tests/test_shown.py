"""Each error reaches the person who runs the tap: once, on standard error, in a sentence, whatever logging does."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tap_deepconverse.streams import Conversations
from tap_deepconverse.tap import TapDeepConverse
from tests.support import TAP, Command, command, config_for, one_window

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Serve, WriteJson

CONSOLE = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"}
ROOT_TO_CONSOLE = {"handlers": ["console"], "level": "INFO"}
STRUCTURED = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"s": {"()": "singer_sdk.logging.StructuredFormatter"}},
    "handlers": {"console": {**CONSOLE, "formatter": "s"}},
    "root": ROOT_TO_CONSOLE,
}
"""As Meltano writes it."""
NEVER = "http://127.0.0.1:1"


def run(*arguments: str | Path, stdout: Any = subprocess.DEVNULL, **environment: str) -> Command:
    done = subprocess.run(  # noqa: S603
        [TAP, *arguments],
        stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, timeout=60, env={**os.environ, **environment},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return Command([], done.returncode, done.stderr)


@pytest.mark.parametrize(
    "logging_config",
    [
        {"version": 1},
        {"version": 1, "disable_existing_loggers": True},
        {"version": 1, "handlers": {"console": CONSOLE}, "root": ROOT_TO_CONSOLE},
        {"version": 1, "handlers": {"console": CONSOLE}, "root": {**ROOT_TO_CONSOLE, "level": "CRITICAL"}},
        {"version": 1, "handlers": {"console": {**CONSOLE, "level": "CRITICAL"}}, "root": ROOT_TO_CONSOLE},
        {"version": 1, "handlers": {"file": {"class": "logging.FileHandler", "filename": "LOG"}},
         "root": {"handlers": ["file"], "level": "INFO"}},
        {"version": 1, "handlers": {"file": {"class": "logging.FileHandler", "filename": "/dev/stderr"}},
         "root": {"handlers": ["file"], "level": "INFO"}},
        {"version": 1, "loggers": {"tap-deepconverse": {"propagate": False, "level": "ERROR"}}},
        {"version": 1, "root": {"handlers": []}},
        {"version": 1, "formatters": {"f": {"format": "%(levelname)s"}},
         "handlers": {"console": {**CONSOLE, "formatter": "f"}}, "root": ROOT_TO_CONSOLE},
        {"version": 1, "formatters": {"f": {"format": "%(nothing)s"}},
         "handlers": {"console": {**CONSOLE, "formatter": "f"}}, "root": ROOT_TO_CONSOLE},
        {"version": 1, "handlers": {"console": CONSOLE, "buffer": {
            "class": "logging.handlers.MemoryHandler", "capacity": 9, "target": "console"}},
         "root": {"handlers": ["buffer"], "level": "INFO"}},
        STRUCTURED,
    ],
)  # fmt: skip
def test_the_reason_is_on_standard_error(write_json: WriteJson, tmp_path: Path, logging_config: Any) -> None:
    text = json.dumps(logging_config).replace("LOG", str(tmp_path / "log"))
    config = write_json(config_for(NEVER, page_size=5000))
    done = run("--config", config, SINGER_SDK_LOG_CONFIG=str(write_json(json.loads(text), "logging.json")))
    assert done.status == 1
    assert "`page_size` must be a whole number from 1 to 1000." in done.log


@pytest.mark.parametrize(("name", "level"), [("TAP_DEEPCONVERSE_LOGLEVEL", "CRITICAL"), ("LOGLEVEL", "critical")])
def test_the_loudest_of_levels_hides_no_reason(write_json: WriteJson, name: str, level: str) -> None:
    done = run("--config", write_json({}), **{name: level})
    assert done.log.count("`api_key` is missing") == 1


@pytest.mark.parametrize(
    "text",
    [
        "{", "a: [b", "[]", "", "version: 2", '{"version": 1, "root": 7}', "\0", '{"api_key": "S3CRET"}: "S3CRET"',
        '{"version": 1, "handlers": {"f": {"class": "logging.FileHandler", "filename": "/nowhere/log"}}}',
    ],
)  # fmt: skip
def test_a_broken_logging_configuration_is_a_sentence(write_json: WriteJson, tmp_path: Path, text: str) -> None:
    path = tmp_path / "logging.yaml"
    path.write_text(text)
    done = run("--config", write_json({}), SINGER_SDK_LOG_CONFIG=str(path))
    assert done.status == 1
    (line,) = done.log.splitlines()
    assert "SINGER_SDK_LOG_CONFIG in the environment must name a YAML or JSON file" in line
    assert str(path) in line


def test_a_logging_configuration_that_is_a_folder_or_not_utf_8_is_a_sentence(
    write_json: WriteJson, tmp_path: Path
) -> None:
    (tmp_path / "latin").write_bytes(b"\xff")
    for path in (tmp_path, tmp_path / "latin"):
        done = run("--config", write_json({}), SINGER_SDK_LOG_CONFIG=str(path))
        assert (done.status, len(done.log.splitlines())) == (1, 1)
        assert "SINGER_SDK_LOG_CONFIG" in done.log


def test_a_logging_configuration_that_is_missing_is_a_warning(serve: Serve, write_json: WriteJson) -> None:
    _, url = serve()
    done = run("--config", write_json(one_window(url)), SINGER_SDK_LOG_CONFIG="/nowhere/logging.json")
    assert done.status == 0
    assert "not found: /nowhere/logging.json" in done.log


def test_what_is_empty_in_the_environment_is_left_out(serve: Serve, write_json: WriteJson) -> None:
    _, url = serve()
    empty = {"LOGLEVEL": "", "TAP_DEEPCONVERSE_LOGLEVEL": " ", "SINGER_SDK_LOG_CONFIG": ""}
    done = run("--config", write_json(one_window(url)), **empty)
    assert done.status == 0
    assert "INFO" in done.log


def test_a_level_of_the_tap_s_own_holds_against_meltano_s_configuration(serve: Serve, write_json: WriteJson) -> None:
    _, url = serve()
    logging_config = str(write_json(STRUCTURED, "logging.json"))
    arguments = ("--config", write_json(config_for(url, start_date="2026-09-01")))
    assert run(*arguments, SINGER_SDK_LOG_CONFIG=logging_config, TAP_DEEPCONVERSE_LOGLEVEL="WARNING").log == ""
    assert '"level":"info"' in run(*arguments, SINGER_SDK_LOG_CONFIG=logging_config).log


def test_metrics_are_not_logged(serve: Serve, write_json: WriteJson) -> None:
    _, url = serve()
    for environment in ({"LOGLEVEL": "DEBUG"}, {"SINGER_SDK_LOG_CONFIG": str(write_json(STRUCTURED, "l.json"))}):
        log = run("--config", write_json(one_window(url)), **environment).log
        assert "Beginning sync" in log
        assert "METRIC" not in log


# --- Standard output, and files ---


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("option", [[], ["--discover"], ["--about"], ["--version"], ["--test=schema"]])
def test_a_full_disk_is_said(serve: Serve, write_json: WriteJson, option: list[str], unbuffered: str) -> None:
    _, url = serve()
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = run("--config", write_json(one_window(url)), *option, stdout=full, PYTHONUNBUFFERED=unbuffered)
    assert done.status == 1
    assert done.log.count("No space left on device") == 1
    assert "No space left on device" in done.log.splitlines()[-1]


def test_a_closed_standard_output_is_said(write_json: WriteJson) -> None:
    script = f"exec '{TAP}' --config '{write_json(config_for(NEVER))}' >&-"
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "Standard output is closed: the tap writes its messages there, for a target or a file."
    )


def test_a_closed_standard_error_stops_nothing(serve: Serve, write_json: WriteJson) -> None:
    _, url = serve()
    script = f"exec '{TAP}' --config '{write_json(config_for(url))}' 2>&-"
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0
    assert '"type":"RECORD"' in done.stdout


@pytest.mark.parametrize("option", ["--state", "--catalog"])
def test_settings_in_place_of_a_file_s_name_are_not_repeated(write_json: WriteJson, option: str) -> None:
    done = run("--config", write_json({}), option, '{"api_key": "S3CRET"}')
    assert done.status == 1
    assert done.log.splitlines()[-1].endswith("No such file or directory: not a valid file path.")


# --- Catalogs ---


def schema(**changes: Any) -> dict[str, Any]:
    return {"properties": {**Conversations.schema["properties"], **changes}}


def in_metadata(method: str) -> dict[str, Any]:
    return {"metadata": [{"breadcrumb": [], "metadata": {"replication-method": method}}]}


def catalog(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(json.dumps(TapDeepConverse(validate_config=False).catalog_dict))
    for entry in whole["streams"]:
        entry.update(changes)
    return whole


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"api_key": "S3CRET", "bot_names": ["bot"]}, "holds settings: it has no list of `streams`"),
        ({"bookmarks": {}}, "is a state: it has no list of `streams`"),
        ({}, "has no list of `streams`"),
        ({"streams": None}, "has no list of `streams`"),
        ({"streams": {}}, "has no list of `streams`"),
        ({"streams": []}, "has none of this tap's streams, which are 'conversations' and 'messages'"),
        ({"streams": [{"tap_stream_id": "users", "schema": {}}]}, "has none of this tap's streams"),
        ({"streams": [7, None]}, "has none of this tap's streams"),
        (catalog(metadata=None), "'conversations': its `schema` and `metadata` are not of the form"),
        (catalog(metadata=[None]), "its `schema` and `metadata` are not of the form"),
        (catalog(metadata=[{"breadcrumb": [], "metadata": None}]), "its `schema` and `metadata` are not of the form"),
        (catalog(schema=None), "its `schema` and `metadata` are not of the form"),
        (catalog(schema={"properties": {"_id": 7}}), "its `schema` and `metadata` are not of the form"),
        (catalog(replication_key=["lastActionAt"]), "`replication_key` is not one of its time fields, such as"),
        (catalog(schema=schema(locale={"type": "strng"})), "is not JSON Schema (see $.properties.locale.type)"),
        (catalog(schema=schema(locale={"type": {"a": 1}})), "is not JSON Schema (see $.properties.locale.type)"),
        (catalog(schema=schema(tags={"type": "array", "items": ["a"]})), "is not JSON Schema"),
        (catalog(schema=schema(metadata={"type": "object", "properties": ["a"]})), "is not JSON Schema"),
        (catalog(schema=schema(metadata={"type": "object", "properties": {"a": None}})), "is not JSON Schema"),
        (catalog(schema={"properties": {"startTime": {"type": "string"}}}), "it lacks the field '_id'"),
        (catalog(key_properties=["foo"]), "it lacks the field '_id', or another one in its `key_properties`"),
        (catalog(schema=schema(_id={"type": "integer"})), "its field '_id' is not of the type string"),
        (catalog(metadata=[{"breadcrumb": ["properties", "locale"], "metadata": {"selected": "no"}}]),
         "a `selected` that is neither true nor false"),
        (catalog(replication_key="updatedAt"), "`replication_key` is not one of its time fields, such as"),
        (catalog(replication_key="locale"), "`replication_key` is not one of its time fields, such as"),
        (catalog(replication_method="LOG_BASED"), "replication method is not one of this tap's, which are INCREMENTAL"),
        (catalog(replication_method="FULL-TABLE"), "replication method is not one of this tap's, which are"),
        (catalog(replication_method=7), "replication method is not one of this tap's, which are INCREMENTAL and FULL"),
        (catalog(replication_method=None, **in_metadata("log")), "replication method is not one of this tap's"),
        (catalog(replication_method="incremental", replication_key=None, metadata=[]),
         "replication method INCREMENTAL needs a `replication_key`, such as"),
        (catalog(replication_key=None, metadata=[{"breadcrumb": [], "metadata": {"replication-key": "updatedAt"}}]),
         "`replication_key` is not one of its time fields"),
    ],
)  # fmt: skip
def test_a_catalog_that_cannot_be_used_is_one_sentence(write_json: WriteJson, given: Any, said: str) -> None:
    done = run("--config", write_json(config_for(NEVER)), "--catalog", write_json(given, "catalog.json"))
    assert done.status == 1
    last = done.log.splitlines()[-1]
    assert "The catalog " in last
    assert said in last
    assert "--discover" in last


@pytest.mark.parametrize(
    ("changes", "method"),
    [
        ({"replication_method": " full_table "}, "full_table"),
        ({"replication_method": "Incremental"}, "incremental"),
        ({"replication_method": None}, "incremental"),
        ({"replication_method": None, **in_metadata("FULL_table")}, "full_table"),
        (in_metadata(" FULL_TABLE"), "full_table"),
    ],
)
def test_a_replication_method_is_read_in_any_case_wherever_it_stands(
    serve: Serve, write_json: WriteJson, changes: dict[str, Any], method: str
) -> None:
    _, url = serve()
    given = catalog(**changes)
    for entry in given["streams"]:
        entry["metadata"] = [
            {**each, "metadata": {"selected": True, **each["metadata"]}}
            for each in entry["metadata"]
            if each["breadcrumb"] == []
        ]
    done = command("--config", write_json(config_for(url)), "--catalog", write_json(given, "catalog.json"))
    assert done.status == 0
    assert f"Beginning sync of 'messages' in {method} mode" in done.log
    assert bool(done.bookmark("messages")) == (method == "incremental")


def test_a_part_of_a_definition_is_merged_with_ours(serve: Serve, write_json: WriteJson) -> None:
    """As Meltano writes `schema: {conversations: {_id: {maxLength: 255}}}`."""
    _, url = serve()
    given = catalog()
    for entry in given["streams"]:
        entry["schema"]["properties"]["_id"] = {"maxLength": 255}
    done = command("--config", write_json(one_window(url)), "--catalog", write_json(given, "catalog.json"))
    assert done.status == 0
    (schema,) = [m["schema"] for m in done.messages if m["type"] == "SCHEMA" and m["stream"] == "conversations"]
    assert schema["properties"]["_id"] == {**Conversations.schema["properties"]["_id"], "maxLength": 255}


def test_a_bot_name_that_the_catalog_lacks_stays_out(serve: Serve, write_json: WriteJson) -> None:
    _, url = serve()
    given = catalog()
    for entry in given["streams"]:
        del entry["schema"]["properties"]["bot_name"]
    done = command("--config", write_json(config_for(url)), "--catalog", write_json(given, "catalog.json"))
    assert done.status == 0
    for entry in given["streams"]:
        names = {tuple(record) for record in done.records(entry["tap_stream_id"])}
        assert names == {tuple(entry["schema"]["properties"])}


def test_an_unknown_stream_beside_ours_is_a_warning(serve: Serve, write_json: WriteJson) -> None:
    _, url = serve()
    given = catalog()
    given["streams"].append({"tap_stream_id": "users", "metadata": None})
    done = command("--config", write_json(one_window(url)), "--catalog", write_json(given, "catalog.json"))
    assert done.status == 0
    assert "The catalog names 'users', which this tap does not have" in done.log
    assert done.states


def test_a_run_in_which_nothing_is_selected_warns(write_json: WriteJson) -> None:
    given = catalog(metadata=[{"breadcrumb": [], "metadata": {"selected": False}}])
    done = run("--config", write_json(config_for(NEVER)), "--catalog", write_json(given, "catalog.json"))
    assert done.status == 0
    assert done.log.count("No stream is selected in the catalog, so nothing is read.") == 1
