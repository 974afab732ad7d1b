"""What must not get out, wherever the tap writes: the key, and what customers have said."""

import json
import os
import subprocess
import sys

import pytest
from flask import Response, request
from singer_sdk.exceptions import FatalAPIError

from sandbox.archive import DAY, Archive
from sandbox.contract import ENDPOINTS, KEY
from sandbox.faults import FAULTS, asked, page, says
from tap_deepconverse.tap import TapDeepConverse
from tests.conftest import NOW, Serve, WriteJson
from tests.faults import holds, is_whole
from tests.leaks import OTHER_KEY, leaks
from tests.support import Collector, command, config_for, one_window, sync

LOUD = {"LOGLEVEL": "DEBUG", "TAP_DEEPCONVERSE_LOGLEVEL": "DEBUG"}
SAID = "Hi, I am Anna Smith, customer4711@example.com"


@pytest.mark.parametrize("text", [KEY, OTHER_KEY, f"GET /?key={KEY} 200", SAID, "{'text': 'Where is my order?'}"])
def test_a_leak_is_found_as_in_the_log_of_every_test(text: str) -> None:
    assert leaks(f"INFO a line\nDEBUG {text}\nINFO another")


def test_the_key_is_in_no_message_and_does_not_show_in_what_represents_the_tap(serve: Serve) -> None:
    _, url = serve()
    writer = Collector()
    tap = TapDeepConverse(config=config_for(url), message_writer=writer)
    tap.sync_all()
    assert tap.config["api_key"] == KEY
    assert writer.output.records("messages")
    streams = [shown for stream in tap.streams.values() for shown in (stream, vars(stream), stream.config)]
    for shown in (tap, tap.config, vars(tap), tap.state, tap.catalog_dict, writer.output, *streams):
        assert KEY not in repr(shown) + repr(vars(shown) if hasattr(shown, "__dict__") else "")


def test_the_command_logs_neither_at_the_loudest_whatever_goes_wrong(serve: Serve, write_json: WriteJson) -> None:
    sandbox, url = serve()
    faults = iter(FAULTS.values())

    def break_in_turn(answer: Response) -> Response:
        return next(faults, is_whole)(answer)

    sandbox.fault = break_in_turn
    maps = {"conversations": {"__filter__": "metadata"}, "messages": {"__filter__": "userInput or outMsg"}}
    span = {"start_date": "2026-09-01", "end_date": "2026-09-23", "window_days": 1}
    config = config_for(url, request_timeout=1, concurrency=16, stream_maps=maps, **span)
    done = command("--config", write_json(config), env={**os.environ, **LOUD})
    assert done.status == 0
    assert done.newest("conversations").keys() == sandbox.archive.conversations["bot"].keys()
    assert done.log.count("(attempt ") >= len(FAULTS)  # at this level also what is no warning
    assert next(faults, None) is None


def test_records_that_are_odd_are_not_repeated(serve: Serve, archive: Archive, write_json: WriteJson) -> None:
    """Each bot has another kind."""
    odd = [b"NaN", b"[" * 10_000 + b"]" * 10_000, b"7" * 5_000, b'"\x00\xff"', b'{"a":1,"a":2}']
    bots = ["0", "1", "2", "3", "4"]
    for bot in bots:
        archive.add_bot(bot, 5, NOW - DAY, NOW)
    sandbox, url = serve()

    def make_odd(answer: Response) -> Response:
        return holds(odd[int(asked()["bot_name"])])(answer)

    sandbox.fault = make_odd
    config = config_for(url, *bots, start_date="2026-09-20", end_date="2026-09-22")
    done = command("--config", write_json(config), env={**os.environ, **LOUD})
    assert all(f"Bot '{bot}'" in done.log for bot in bots)
    assert [text for text in ("Traceback", '"a"', "7777777777") if text in done.log] == []


def test_what_stands_where_a_field_s_name_or_an_id_should_is_not_repeated(serve: Serve, write_json: WriteJson) -> None:
    odd = {"_id": SAID, SAID: SAID, "startTime": SAID, "lastActionAt": {SAID: SAID}, "tags": [SAID]}
    sandbox, url = serve()
    sandbox.fault = lambda _: page([odd] if request.path == ENDPOINTS["conversations"].path else [])
    done = command("--config", write_json(one_window(url)), env={**os.environ, **LOUD})
    assert done.status == 0
    assert done.records("conversations")[0]["_id"] == SAID
    assert "`startTime` of a record" in done.log
    assert "fields that its documentation does not name (1 more)" in done.log


@pytest.mark.parametrize("arguments", [["--config"], ["--state"], ["--catalog"], []])
def test_settings_in_place_of_the_name_of_their_file_are_not_repeated(
    write_json: WriteJson, arguments: list[str]
) -> None:
    done = command("--config", write_json({}), *arguments, json.dumps({"api_key": OTHER_KEY}))
    assert done.status == (1 if arguments == ["--config"] else 2)
    assert done.log.rstrip().endswith("not a valid file path.")


def test_a_defect_shows_its_place_and_not_what_it_was_at(serve: Serve, write_json: WriteJson) -> None:
    _, url = serve()
    code = (  # the address in two parts, since from Python 3.13 on a traceback shows also lines given with `-c`
        "from tap_deepconverse import __main__; from tap_deepconverse.extract import span\n"
        "def fail(*_): raise ValueError('at customer' '4711@example.com')\n"
        "span.BotSpan.admit = fail\n"
        "__main__.main()"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code, "--config", write_json(config_for(url))],
        env={**os.environ, **LOUD}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    sys.stderr.write(done.stderr)
    assert done.returncode == 1
    assert "bot.py" in done.stderr
    assert "Unexpected ValueError. Please report" in done.stderr.splitlines()[-1]


def test_the_key_is_sent_to_no_other_host(serve: Serve) -> None:
    elsewhere, there = serve()
    sandbox, url = serve()
    place = there + ENDPOINTS["conversations"].path
    sandbox.fault = says("", 307, Location=place)
    with pytest.raises(FatalAPIError, match="redirects are not followed"):
        sync(one_window(url))
    assert sandbox.requests
    assert elsewhere.requests == []
