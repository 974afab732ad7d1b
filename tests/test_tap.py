from __future__ import annotations

import hashlib
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from singer_sdk.testing import get_tap_test_class

from sandbox.archive import Archive, sample_archive
from sandbox.server import Behaviour, Sandbox
from tap_deepconverse.tap import TapDeepConverse
from tests.support import command, config_for, one_window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_httpserver import HTTPServer

    from tests.conftest import Serve, WriteJson

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    PORT = free.getsockname()[1]


@pytest.fixture(scope="module", autouse=True)
def sandbox_of_the_standard_tests() -> Iterator[None]:
    archive = sample_archive(100, 10, now=datetime(2026, 9, 1, tzinfo=UTC))
    with Sandbox(archive, Behaviour(requests_per_second=0)).running(PORT):
        yield


TestStandard = get_tap_test_class(
    TapDeepConverse, config=config_for(f"http://127.0.0.1:{PORT}", "shop-assistant", "r3-218210")
)


def test_about_names_every_setting() -> None:
    done = command("--about", "--format=json")
    assert done.status == 0
    for setting in TapDeepConverse.config_jsonschema["properties"]:
        assert f'"{setting}"' in done.stdout


def test_discovery_needs_no_settings() -> None:
    done = command("--discover")
    assert done.status == 0
    for stream, key in (("conversations", "lastActionAt"), ("messages", "time")):
        assert f'"tap_stream_id":"{stream}"' in done.stdout
        assert f'"replication_key":"{key}"' in done.stdout


def test_a_catalog_selects_streams_and_properties(serve: Serve, archive: Archive, write_json: WriteJson) -> None:
    _, url = serve()
    catalog = TapDeepConverse(validate_config=False).catalog_dict
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if entry["breadcrumb"] == []:
                entry["metadata"]["selected"] = stream["tap_stream_id"] == "conversations"
            elif entry["breadcrumb"][-1] in {"metadata", "tags", "lastActionAt", "additional_fields"}:
                entry["metadata"]["selected"] = False
    done = command("--config", write_json(config_for(url)), "--catalog", write_json(catalog, "catalog.json"))
    assert done.status == 0
    assert {m["stream"] for m in done.messages if m["type"] == "SCHEMA"} == {"conversations"}
    assert done.newest("conversations").keys() == archive.conversations["bot"].keys()
    for record in done.records("conversations"):
        # the replication key cannot be left out
        assert record.keys() == {"_id", "startTime", "lastActionAt", "locale", "bot_name"}


def test_stream_maps_and_flattening_work(serve: Serve, archive: Archive, write_json: WriteJson) -> None:
    _, url = serve()
    maps = {
        "conversations": {"customer": "md5(str(metadata['browser_userMeta']['email']))", "metadata": None},
        "messages": {"__filter__": "type == 'UserInput'", "userInput": None},
    }
    config = config_for(url, stream_maps=maps, flattening_enabled=True, flattening_max_depth=1)
    done = command("--config", write_json(config))
    assert done.status == 0
    assert len(done.newest("conversations")) == 50
    for key, record in done.newest("conversations").items():
        customer = archive.conversations["bot"][key]["metadata"]["browser_userMeta"]["email"]
        assert record["customer"] == hashlib.md5(str(customer).encode(), usedforsecurity=False).hexdigest()
        assert "metadata" not in record
    messages = done.newest("messages")
    assert messages.keys() == {k for k, m in archive.messages["bot"].items() if m["type"] == "UserInput"}
    assert all("userInput" not in message for message in messages.values())


def test_nested_properties_can_be_deselected(serve: Serve, write_json: WriteJson) -> None:
    _, url = serve()
    catalog = TapDeepConverse(validate_config=False).catalog_dict
    for stream in catalog["streams"]:
        breadcrumb = ["properties", "metadata", "properties", "browser_userMeta"]
        stream["metadata"].append({"breadcrumb": breadcrumb, "metadata": {"selected": False}})
    done = command("--config", write_json(config_for(url)), "--catalog", write_json(catalog, "catalog.json"))
    assert done.status == 0
    assert done.records("conversations")
    assert all("browser_userMeta" not in record["metadata"] for record in done.records("conversations"))


def test_numbers_keep_their_digits_and_half_an_emoji_stops_nothing(
    httpserver: HTTPServer, write_json: WriteJson
) -> None:
    metadata = b'{"price": 0.1000000000000000055511151231257827, "id": 123456789012345678901234567890, "tax": 1.10}'
    body = b'{"data": [{"_id": "a", "metadata": ' + metadata + b', "locale": "half \\ud83d whole \\ud83d\\ude00"}]}'
    httpserver.expect_request("/conversations/export/v1/conversations").respond_with_data(body)
    httpserver.expect_request("/conversations/export/v1/messages").respond_with_json({"data": []})
    done = command("--config", write_json(one_window(httpserver.url_for(""))))
    assert done.status == 0
    assert metadata.decode().replace(" ", "") in done.stdout.replace(" ", "")
    (record,) = done.records("conversations")
    assert record["locale"] == "half \ufffd whole \U0001f600"
