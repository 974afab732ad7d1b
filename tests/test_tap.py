import hashlib
import socket
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import pytest
from singer_sdk.testing import get_tap_test_class

from sandbox.archive import Archive, sample_archive
from sandbox.server import Behaviour, Sandbox
from tap_deepconverse.streams import Conversations
from tap_deepconverse.tap import TapDeepConverse
from tests.conftest import Serve, WriteJson
from tests.support import command, config_for

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    PORT = free.getsockname()[1]


@pytest.fixture(scope="module", autouse=True)
def sandbox_of_the_standard_tests() -> Iterator[None]:
    archive = sample_archive(100, 10, now=datetime(2026, 9, 1, tzinfo=UTC))
    with Sandbox(archive, Behaviour(requests_per_second=0)).running(PORT):
        yield


TestStandard = pytest.mark.filterwarnings("ignore:No records were available")(  # to those that are run by themselves
    get_tap_test_class(TapDeepConverse, config=config_for(f"http://127.0.0.1:{PORT}", "shop-assistant", "r3-218210"))
)


@pytest.mark.parametrize(
    ("option", "names"),
    [
        ("--about", TapDeepConverse.config_jsonschema["properties"]),
        ("--discover", ["conversations", "messages", "lastActionAt", "time"]),
        ("--version", ["tap-deepconverse v", "Meltano SDK v"]),
        ("--help", ["--config", "--catalog", "--state", "--discover", "--test"]),
    ],
)
def test_what_the_tap_says_of_itself_needs_no_settings(
    write_json: WriteJson, option: str, names: Iterable[str]
) -> None:
    done = command("--config", write_json({"exclude_metadata": 7}), option)
    assert done.status == 0
    assert "WARNING" not in done.log
    assert [name for name in names if name not in done.stdout] == []


def test_a_catalog_selects_streams_and_properties(serve: Serve, archive: Archive, write_json: WriteJson) -> None:
    _, url = serve()
    catalog = TapDeepConverse(validate_config=False).catalog_dict
    conversations, messages = catalog["streams"]
    places = [["properties", name] for name in ("tags", "lastActionAt", "additional_fields")]
    places += [["properties", "metadata", "properties", "browser_userMeta"]]
    conversations["metadata"] += [{"breadcrumb": place, "metadata": {"selected": False}} for place in places]
    messages["metadata"] = [{"breadcrumb": [], "metadata": {"selected": False}}]
    done = command("--config", write_json(config_for(url)), "--catalog", write_json(catalog, "catalog.json"))
    assert done.status == 0
    assert {m["stream"] for m in done.messages if m["type"] == "SCHEMA"} == {"conversations"}
    assert done.newest("conversations").keys() == archive.conversations["bot"].keys()
    for record in done.records("conversations"):
        # the replication key cannot be left out
        assert record.keys() == Conversations.schema["properties"].keys() - {"tags", "additional_fields"}
        assert record["metadata"]
        assert "browser_userMeta" not in record["metadata"]


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
        assert isinstance(record["tags"], str | None)
    messages = done.newest("messages")
    assert messages.keys() == {k for k, m in archive.messages["bot"].items() if m["type"] == "UserInput"}
    assert all("userInput" not in message for message in messages.values())
