import json
import os
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from sandbox.archive import Archive
from tap_deepconverse.singer.stream_maps import stream_map_problems
from tap_deepconverse.tap import TapDeepConverse
from tests.conftest import Serve, WriteJson
from tests.support import command, config_for, sync

FIELDS = {"conversations": ["_id", "metadata", "startTime"], "messages": ["_id", "outMsg"]}
EMPTY = "is empty, so it would mask nothing; Meltano drops nulls: write `__NULL__`."


@pytest.mark.parametrize(
    ("stream_maps", "problem"),
    [
        ({"conversations": {"metadata": "__NULL__", "new": "startTime", "__else__": None}, "messages": None}, None),
        ({"masked": {"__source__": "messages", "outMsg": None}}, None),
        ({"messages": {"outmsg": "outMsg", "outMsg": None}}, None),
        ({"messages": {"__alias__": "said", "__filter__": "outMsg", "__key_properties__": ["_id"]}}, None),
        ({"messages": {"rating": "__NULL__", "__else__": None}}, "name it in `exclude_metadata`."),
        ({"conversation": {"metadata": None}}, "names 'conversation', but the streams are conversations and messages."),
        ({"messages": {"outmsg": None}}, "`stream_maps` removes 'outmsg' from 'messages', which is not a field of it"),
        ({}, f"`stream_maps` {EMPTY}"),
        ({"conversations": {}}, f"`stream_maps` for 'conversations' {EMPTY}"),
        ({"*": {}}, f"`stream_maps` for '*' {EMPTY}"),
        ({"conversations": {"metadata": "__NULL__"}, "messages": {}}, f"`stream_maps` for 'messages' {EMPTY}"),
        ({"messages": {"__els__": None}}, "'__els__', but the operators are __alias__"),
        ({"messages": {"__fliter__": "outMsg"}}, "'__fliter__', but the operators are __alias__"),
        ({"__Else__": None}, "'__Else__', but the streams are"),
    ],
)
def test_what_would_protect_nothing_is_said(stream_maps: dict[str, Any], problem: str | None) -> None:
    sentences = stream_map_problems(stream_maps, FIELDS)
    assert len(sentences) == (problem is not None)
    assert all(problem and problem in sentence for sentence in sentences)


def test_a_field_that_the_catalog_adds_may_be_left_out(serve: Serve, write_json: WriteJson) -> None:
    _, url = serve()
    config = write_json(config_for(url, stream_maps={"messages": {"rating": "__NULL__"}}))
    schema = {"properties": {"_id": {"type": "string"}, "time": {"type": "string", "format": "date-time"}}}
    for added, status in ({}, 1), ({"rating": {"type": "integer"}}, 0):
        schema["properties"] |= added
        entry = {"tap_stream_id": "messages", "schema": schema, "metadata": []}
        catalog = write_json({"streams": [entry]}, "catalog.json")
        assert command("--config", config, "--catalog", catalog).status == status


@pytest.mark.parametrize(
    ("maps", "why"),
    [
        ({"new": "sha256(config['salt'] + _id)"}, "KeyError; check its expressions, and `stream_map_config`"),
        ({"new": "locale + 'x'"}, "'locale' is not defined for expression 'locale + 'x''; use selected fields only ("),
        ({"__filter__": "metadata['browser_userMeta']['email'] + 1"}, "TypeError; "),
    ],
)
def test_an_expression_that_fails_names_bot_record_and_reason(
    serve: Serve, write_json: WriteJson, maps: dict[str, str], why: str
) -> None:
    _, url = serve()
    catalog = write_json(catalog_without("conversations", "locale"), "catalog.json")
    config = write_json(config_for(url, stream_maps={"conversations": maps}))
    done = command("--config", config, "--catalog", catalog)
    assert done.status == 1
    (line,) = [line for line in done.log.splitlines() if "ERROR" in line]
    which = "Bot 'bot', stream 'conversations', the record with _id '[0-9a-f]{32}'"
    assert re.search(f"{which}: `stream_maps` fails: {re.escape(why)}", line)
    assert "Traceback" not in done.log
    assert "complete" not in done.log


def catalog_without(stream: str, *fields: str) -> dict[str, Any]:
    """A catalog in which fields of a stream, or a whole stream, are not selected."""
    catalog = TapDeepConverse(validate_config=False).catalog_dict
    (entry,) = [entry for entry in catalog["streams"] if entry["tap_stream_id"] == stream]
    for each in entry["metadata"]:
        if each["breadcrumb"] == [] or each["breadcrumb"][-1] in fields:
            each["metadata"]["selected"] = bool(fields) and each["breadcrumb"] == []
    return catalog


@pytest.mark.parametrize("name", ["messages", "*"])
def test_a_map_for_a_stream_that_is_not_selected_is_skipped(serve: Serve, write_json: WriteJson, name: str) -> None:
    _, url = serve()
    config = write_json(config_for(url, stream_maps={name: {"new": "_id + 'x'"}, "__else__": "__NULL__"}))
    catalog = write_json(catalog_without("messages"), "catalog.json")
    done = command("--config", config, "--catalog", catalog)
    assert done.status == 0
    assert bool(done.records("conversations")) == (name == "*")
    assert not done.records("messages")


def test_what_a_map_makes_fits_what_it_announces(
    serve: Serve, archive: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    _, url = serve()
    conversations = archive.conversations["bot"]
    for number, conversation in enumerate(conversations.values()):
        conversation["metadata"] = {"plan": [3, "pro", None, 0.5, {"a": [0.1]}][number % 5]}
        conversation["tags"] = ["a", "b"]
    maps = {
        "plan": "(metadata or {}).get('plan')",
        "tags": "','.join(tags)",
        "text": "json.dumps(metadata)",
        "startTime": "locale",
        "number": "int('7')",
        "metadata": "7",
    }
    output = sync(config_for(url, stream_maps={"conversations": maps}))
    (announced,) = [
        message["schema"]
        for message in output.messages
        if message["type"] == "SCHEMA" and message["stream"] == "conversations"
    ]
    records = output.newest("conversations")
    assert records.keys() == conversations.keys()
    for key, record in records.items():
        plan = conversations[key]["metadata"]["plan"]
        assert record["plan"] in {None, "pro", "3", "0.5", '{"a": [0.1]}', '{"a":[0.1]}'}
        assert (record["plan"] is None) == (plan is None)
        assert json.loads(record["text"]) == conversations[key]["metadata"]
        assert record.items() >= {"tags": ["a,b"], "startTime": None, "number": 7, "metadata": {"value": 7}}.items()
        Draft202012Validator(announced).validate(record)
    (warning,) = [line for line in caplog.messages if "does not fit" in line]
    assert warning.startswith("Bot 'bot', stream 'conversations', the record with _id '")
    assert "`stream_maps` makes a value of `startTime` that" in warning


@pytest.mark.parametrize(
    ("stream_maps", "said"),
    [
        ({"x": "metadata["}, "Failed to parse expression metadata["),
        ({"x": ""}, "`stream_maps` is not of the form that the SDK"),
        ({"__else__": "x"}, "`stream_maps` is not of the form that the SDK"),
    ],
)
def test_a_map_that_cannot_be_used_ends_it_in_a_sentence(
    serve: Serve, write_json: WriteJson, stream_maps: dict[str, Any], said: str
) -> None:
    _, url = serve()
    done = command("--config", write_json(config_for(url, stream_maps={"conversations": stream_maps})))
    assert done.status == 1
    assert said in done.log.splitlines()[-1]
    assert "Traceback" not in done.log
    assert not done.records("conversations")


def test_what_a_filter_makes_of_a_record_is_not_logged(serve: Serve, write_json: WriteJson) -> None:
    sandbox, url = serve()
    filters = {"conversations": {"__filter__": "metadata"}, "messages": {"__filter__": "userInput or outMsg"}}
    environment = {**os.environ, "TAP_DEEPCONVERSE_LOGLEVEL": "DEBUG"}
    done = command("--config", write_json(config_for(url, stream_maps=filters)), env=environment)
    assert done.status == 0
    assert done.newest("conversations").keys() == sandbox.archive.conversations["bot"].keys()
