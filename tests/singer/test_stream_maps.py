import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from singer_sdk.exceptions import ConfigurationError

from sandbox.archive import Archive
from tap_deepconverse.singer.stream_maps import stream_map_problems
from tap_deepconverse.tap import TapDeepConverse
from tests.conftest import Serve, WriteJson
from tests.support import command, config_for, sync

FIELDS = {"conversations": ["_id", "metadata", "startTime"], "messages": ["_id", "outMsg"]}
EMPTY = "is empty, so it would mask nothing; Meltano drops nulls: write `__NULL__`."
FAILS = "Bot 'bot', stream 'conversations', the record with _id '…': `stream_maps` fails:"


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
        ({"__else__": {}, "messages": None}, "`__else__` in `stream_maps` must be `__NULL__`"),
        ({"conversations": {"metadata": "__NULL__"}, "*": {"x": "_id"}}, "'conversations' and '*' for 'conversations'"),
        ({"messages": {"__source__": "messages", "outMsg": None}}, "names itself as `__source__`"),
        (
            {"messages": {"__filter__": "_id = 'x'"}},
            "`__filter__` in `stream_maps` for 'messages' is not one expression",
        ),
        ({"messages": {"outMsg": "outMsg\n{}"}}, "`outMsg` in `stream_maps` for 'messages' is not one expression"),
        ({"conversations": {"metadata_plan": "'x'", "id": "_id", "metadata2": "'x'", "time": "startTime"}}, None),
        ({"messages": {"out_msg": "'x'"}}, "makes 'out_msg' beside 'outMsg', which would leave as it is"),
        *(
            ({"conversations": {name: "'x'"}}, f"makes '{name}' beside 'metadata', which would leave as it is")
            for name in ("METADATA", "metadata ", "$.metadata", "conversations.metadata", "metdata", "metadata['x']")
        ),
    ],
)
def test_what_would_protect_nothing_is_said(stream_maps: dict[str, Any], problem: str | None) -> None:
    sentences = stream_map_problems(stream_maps, FIELDS)
    assert len(sentences) == (problem is not None)
    assert all(problem and problem in sentence for sentence in sentences)


def test_a_field_that_the_catalog_adds_may_be_left_out() -> None:
    config = config_for("http://127.0.0.1:1", stream_maps={"messages": {"rating": "__NULL__"}})
    catalog = TapDeepConverse(validate_config=False).catalog_dict
    with pytest.raises(ConfigurationError, match="name it in `exclude_metadata`"):
        TapDeepConverse(config=config, catalog=catalog)
    for entry in catalog["streams"]:
        entry["schema"]["properties"]["rating"] = {"type": "integer"}
    TapDeepConverse(config=config, catalog=catalog)


def catalog_without(stream: str, *breadcrumb: str) -> dict[str, Any]:
    """A catalog in which a stream, or a field of it, is not selected."""
    catalog = TapDeepConverse(validate_config=False).catalog_dict
    (entry,) = [entry for entry in catalog["streams"] if entry["tap_stream_id"] == stream]
    entry["metadata"].append({"breadcrumb": breadcrumb, "metadata": {"selected": False}})
    return catalog


@pytest.mark.parametrize(
    ("maps", "said"),
    [
        ({"new": "sha256(config['salt'] + _id)"}, f"{FAILS} KeyError; check its expressions, and `stream_map_config`"),
        ({"new": "locale+1"}, f"{FAILS} 'locale' is not defined for expression 'locale+1'; use selected fields only ("),
        ({"__filter__": "metadata['browser_userMeta']['email'] + 1"}, f"{FAILS} TypeError; "),
        ({"x": "metadata["}, "`x` in `stream_maps` for 'conversations' is not one expression, as Python has it."),
        ({"x": ""}, "`x` in `stream_maps` for 'conversations' is not one expression, as Python has it."),
        ({"__else__": "x"}, "`stream_maps` is not of the form that the SDK"),
    ],
)
def test_a_map_that_fails_ends_it_in_a_sentence(
    serve: Serve, write_json: WriteJson, maps: dict[str, str], said: str
) -> None:
    _, url = serve()
    catalog = write_json(catalog_without("conversations", "properties", "locale"), "catalog.json")
    done = command("--config", write_json(config_for(url, stream_maps={"conversations": maps})), "--catalog", catalog)
    assert done.status == 1
    assert said in re.sub("'[0-9a-f]{32}'", "'…'", done.log.splitlines()[-1])
    assert done.log.count("ERROR") == 1
    assert "Traceback" not in done.log
    assert "complete" not in done.log
    assert not done.records("conversations")


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
    announced = next(each["schema"] for each in output.messages if each.get("stream") == "conversations")
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
