from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.exceptions import ConfigValidationError

from tap_deepconverse.singer.stream_maps import explain_failure, stream_map_problems
from tests.support import command, config_for, sync

if TYPE_CHECKING:
    from tests.conftest import Serve, WriteJson

FIELDS = {"conversations": ["_id", "metadata", "startTime"], "messages": ["_id", "outMsg"]}
NO_STREAM = "`stream_maps` names 'conversation', but the streams are conversations and messages."

IN_VAIN = (
    "`stream_maps` removes 'rating' from 'messages', which is not a field of it: undocumented fields are inside "
    "`additional_fields`; to remove one, name it in `exclude_metadata`."
)


@pytest.mark.parametrize(
    ("stream_maps", "problems"),
    [
        ({}, []),
        ({"conversations": {"metadata": "__NULL__", "new": "startTime", "__else__": None}, "messages": None}, []),
        ({"__else__": None, "*s": {"metadata": "__NULL__"}}, []),
        ({"masked": {"__source__": "messages", "outMsg": None}}, []),
        (
            {"messages": {"rating": "__NULL__", "__else__": None}},
            [
                IN_VAIN,
            ],
        ),
        ({"messages": {"outmsg": "outMsg"}}, []),
        ({"conversation": {"metadata": None}}, [NO_STREAM]),
        ({"conversation": "__NULL__"}, [NO_STREAM]),
        ({"masked": {"__source__": "conversation"}}, [NO_STREAM]),
        (
            {"messages": {"outmsg": "__NULL__"}},
            ["`stream_maps` removes 'outmsg' from 'messages', which is spelled 'outMsg'."],
        ),
    ],
)
def test_what_is_named_in_vain_is_said(stream_maps: dict[str, Any], problems: list[str]) -> None:
    assert stream_map_problems(stream_maps, FIELDS) == problems


def test_a_field_that_the_catalog_adds_may_be_left_out(serve: Serve, write_json: WriteJson) -> None:
    _, url = serve()
    config = write_json(config_for(url, stream_maps={"messages": {"rating": "__NULL__"}}))
    schema = {"properties": {"_id": {"type": "string"}, "time": {"type": "string", "format": "date-time"}}}
    for added, status in ({}, 1), ({"rating": {"type": "integer"}}, 0):
        schema["properties"] |= added
        entry = {"tap_stream_id": "messages", "schema": schema, "metadata": []}
        catalog = write_json({"streams": [entry]}, "catalog.json")
        assert command("--config", config, "--catalog", catalog).status == status


def test_a_run_that_would_mask_nothing_does_not_begin(serve: Serve) -> None:
    sandbox, url = serve()
    with pytest.raises(ConfigValidationError) as refusal:
        sync(config_for(url, stream_maps={"conversation": {"metadata": "__NULL__"}}))
    assert refusal.value.errors == [NO_STREAM]
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("salt"), "KeyError: 'salt'"),
        (KeyError("Anna Smith"), "KeyError"),
        (KeyError(7), "KeyError"),
        (KeyError(), "KeyError"),
        (TypeError("can only concatenate 'Anna Smith'"), "TypeError"),
    ],
)
def test_why_an_expression_failed_is_said_without_what_it_was_at(error: Exception, said: str) -> None:
    assert explain_failure(error, {"conversations": {"x": "config['salt']"}}) == said


def names_a_record(line: str, stream: str) -> bool:
    return bool(
        re.search(rf"Bot 'bot', stream '{stream}': `stream_maps` fails for the record with _id '[0-9a-f]{{32}}'", line)
    )


def test_an_expression_that_fails_names_bot_record_and_settings(serve: Serve, write_json: WriteJson) -> None:
    _, url = serve()
    config = config_for(url, stream_maps={"conversations": {"hash": "sha256(config['salt'] + _id)"}})
    done = command("--config", write_json(config))
    assert done.status == 1
    (line,) = [line for line in done.log.splitlines() if "ERROR" in line]
    assert names_a_record(line, "conversations")
    assert line.endswith(
        "(KeyError: 'salt'); check `stream_maps`, and that `stream_map_config` has all values that it uses."
    )
    assert "Traceback" not in done.log


def test_an_expression_that_is_none_ends_it_in_a_sentence(serve: Serve, write_json: WriteJson) -> None:
    _, url = serve()
    done = command("--config", write_json(config_for(url, stream_maps={"conversations": {"x": "metadata["}})))
    assert done.status == 1
    assert "Failed to parse expression metadata[" in done.log.splitlines()[-1]
    assert "Traceback" not in done.log


@pytest.mark.parametrize(
    "stream_maps",
    [
        {"conversations": {"__source__": None}},
        {"conversations": {"x": ""}},
        {"conversations": {"__else__": "x"}},
        {"conversations": 7},
        {"__else__": "x"},
    ],
)
def test_stream_maps_of_another_form_end_it_in_a_sentence(
    serve: Serve, write_json: WriteJson, stream_maps: dict[str, Any]
) -> None:
    _, url = serve()
    done = command("--config", write_json(config_for(url, stream_maps=stream_maps)))
    assert done.status == 1
    assert "please report" not in done.log.casefold()
    assert "Traceback" not in done.log


@pytest.mark.parametrize("expression", ["metadata['zz'] == 1", "1 / 0", "metadata['browser_userMeta']['email'] + 1"])
def test_a_filter_that_fails_names_the_record(serve: Serve, write_json: WriteJson, expression: str) -> None:
    _, url = serve()
    config = config_for(url, stream_maps={"conversations": {"__filter__": expression}})
    done = command("--config", write_json(config))
    assert done.status == 1
    assert names_a_record(done.log.splitlines()[-1], "conversations")


def test_what_a_filter_makes_of_a_record_is_not_logged(serve: Serve, write_json: WriteJson) -> None:
    sandbox, url = serve()
    filters = {"conversations": {"__filter__": "metadata"}, "messages": {"__filter__": "userInput or outMsg"}}
    environment = {**os.environ, "TAP_DEEPCONVERSE_LOGLEVEL": "DEBUG"}
    done = command("--config", write_json(config_for(url, stream_maps=filters)), env=environment)
    assert done.status == 0
    assert done.newest("conversations").keys() == sandbox.archive.conversations["bot"].keys()
