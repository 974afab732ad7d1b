import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from singer_sdk.exceptions import ConfigurationError

from tap_deepconverse.tap import TapDeepConverse
from tests.conftest import Serve, WriteJson
from tests.support import TAP, command, config_for, one_window, sync

VALID = config_for("https://api.converseapps.com")
EACH_OTHER = "`flattening_enabled` and `flattening_max_depth` need each other: set both, or none."


def errors_of(config: dict[str, Any], **options: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as refusal:
        TapDeepConverse(config=config, **options)
    return str(refusal.value).splitlines()


@pytest.mark.parametrize(
    ("setting", "values"),
    {
        "api_key": ["", "  ", "secret with blank", "secret\n", "sécret", 12345],
        "bot_names": [[], [""], ["a", " \t"], "bot", [7], {}, ["half an emoji \ud83d"], ["\ude00"]],
        "start_date": ["", "soon", "2025-02-30", "1969-12-31", "0001-01-01T00:00:00+14:00", 1744750665],
        "end_date": ["", "soon", 1744750665],
        "api_url": [
            "", "api.converseapps.com", "ftp://api.converseapps.com", "https://", "https://host:port", "https://a b",
            "http://api.converseapps.com", "http://10.0.0.1", "http://localhost.example.com", "https://a..b", 7,
            "https://example.com?key=1", "https://example.com#", "https://example.com:65536", "https://a\n",
            "https://example.com/{api_key}", "http://[::1", f"https://{64 * 'a'}.com", "https://secret@example.com",
        ],
        "page_size": [0, -1, 1001, "many", 1.5, True],
        "exclude_metadata": ["__sys_userIp", [7]],
        "request_timeout": [0, -1, "long", 0.5, 10**12],
        "requests_per_second": [0, 10**400],
        "stream_maps": [7, {"messages": 7}, {"messages": ["12345"]}, {"messages": {"__filter__": 7, "x": {}}}],
        "stream_map_config": [7],
        "flattening_separator": [7],
    }.items(),
)  # fmt: skip
def test_a_bad_value_is_one_sentence_that_names_the_setting(setting: str, values: list[Any]) -> None:
    for value in values:
        (sentence,) = errors_of({**VALID, setting: value})
        assert sentence.startswith(f"`{setting}` must be ")
        assert sentence.endswith(".")
        assert "secret" not in sentence
        assert "12345" not in sentence


@pytest.mark.parametrize("given", [{}, {"api_key": None, "bot_names": None, "start_date": None}])
def test_every_setting_that_is_missing_or_wrong_is_named(given: dict[str, Any]) -> None:
    names = ["api_key", "bot_names", "start_date", "page_size", "stream_maps"]
    errors = errors_of({**given, "page_size": 0, "stream_maps": {}})
    assert [error.split("`")[1] for error in errors] == names
    assert [" is missing: it must be " in error for error in errors] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"end_date": "2025-12-31"}, "`end_date` must be later than `start_date`."),
        ({"end_date": "2026-01-01T01:00:00+02:00"}, "`end_date` must be later than `start_date`."),
        ({"flattening_enabled": True}, EACH_OTHER),
        ({"flattening_max_depth": 1}, EACH_OTHER),
        *(
            ({name: value}, f"`{name}` is not a setting of this tap: write `{meant}`.")
            for name, meant, value in (
                ("stream-maps", "stream_maps", {"messages": None}),
                ("Stream_Maps ", "stream_maps", {"messages": None}),
                ("exclude_metadatas", "exclude_metadata", ["x"]),
                ("exclude metadata", "exclude_metadata", ["x"]),
            )
        ),
    ],
)
def test_what_does_not_go_together_is_a_sentence(given: dict[str, Any], sentence: str) -> None:
    assert errors_of({**VALID, **given}) == [sentence]


@pytest.mark.parametrize(
    ("setting", "values"),
    {
        "api_url": ["https://example.com:8443/prefix/", "https://[2001:db8::1]:8443", "http://localhost:8210",
                    "http://127.0.0.2", "http://[::1]:8210/", "https://example.com:65535"],
        "start_date": ["2025-01-01"],
        "end_date": ["2027-01-01T00:00:00+02:00", "9999-12-31T23:59:59-14:00", None],
        "page_size": [1, 1000, None],
        "stream_maps": [{"messages": {"outMsg": None, "__key_properties__": ["_id"]}, "conversations": "__NULL__"}],
    }.items(),
)  # fmt: skip
def test_good_values_are_taken(setting: str, values: list[Any]) -> None:
    for value in values:
        tap = TapDeepConverse(config={**VALID, setting: value})
        assert tap.config.get(setting) == (1000 if (setting, value) == ("page_size", None) else value)


def test_unknown_settings_are_warnings_as_for_batch_messages(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    _, url = serve()
    output = sync(config_for(url, batch_config={"storage": {"root": "S3CRET"}}, **{"api-key": "S3CRET", "{S3CRET": 1}))
    assert {message["type"] for message in output.messages} == {"SCHEMA", "RECORD", "STATE"}
    for name in ("batch_config", "api-key"):
        assert f"`{name}` is not a setting of this tap, and is ignored." in caplog.text


@pytest.mark.parametrize("arguments", [[], ["--test"]])
def test_the_command_says_it_without_a_request(
    arguments: list[str], httpserver: HTTPServer, write_json: WriteJson
) -> None:
    config = config_for(httpserver.url_for(""), page_size=5000, api_key="s3cret key")
    done = command("--config", write_json(config), *arguments)
    assert done.status == 1
    assert done.log.count("`page_size` must be a whole number from 1 to 1000.") == 1
    assert "`api_key` must be the key" in done.log
    assert "WARNING" not in done.log
    assert "s3cret" not in done.log
    assert not httpserver.log


@pytest.mark.parametrize("option", ["--config", "--catalog", "--state"])
@pytest.mark.parametrize("text", [b"", b'"S3CRET"', b"{}\n{}", b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_json_object_is_said_in_a_sentence(write_json: WriteJson, option: str, text: bytes) -> None:
    path = write_json({}, "file.json")
    path.write_bytes(text)
    done = command("--config", write_json(VALID), option, path)
    assert done.status == 1
    assert f"The file given as `{option}` " in done.log.splitlines()[-1]
    assert "Traceback" not in done.log


@pytest.mark.parametrize(("path", "reason"), [("nowhere.json", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_said_in_a_sentence(path: str, reason: str) -> None:
    done = command("--config", path)
    assert (done.status, len(done.log.splitlines())) == (1, 1)
    assert done.log.rstrip().endswith(f" {reason}: '{path}'")


@pytest.mark.parametrize(
    "run",
    [
        """TAP --config <(echo "$CONFIG") --state <(echo '{}')""",
        """TAP --config <(echo "$CONFIG") --state - <<< '{}'""",
        """TAP --test --config /dev/stdin <<< "$CONFIG\"""",
    ],
)
def test_a_file_is_read_once_as_it_may_be_a_pipe(serve: Serve, tmp_path: Path, run: str) -> None:
    _, url = serve()
    environment = {**os.environ, "CONFIG": json.dumps(one_window(url))}
    done = subprocess.run(  # noqa: S603
        ["/bin/bash", "-c", run.replace("TAP", f"'{TAP}'")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_settings_come_from_the_environment(serve: Serve) -> None:
    _, url = serve()
    settings = {
        "API_KEY": "sandbox-key",
        "API_URL": url,
        "BOT_NAMES": '["bot"]',
        "START_DATE": "2026-01-01",
        "PAGE_SIZE": "20",
        "REQUESTS_PER_SECOND": "1000",
        "STREAM_MAPS": '{"conversations": {"tags": "__NULL__"}}',
        "EXCLUDE_METADATA": "browser_userMeta,__sys*",
        "_SELECT": "what Meltano adds",
        "LOOKBACK_DAY": "S3CRET",
    }
    done = command("--config", "ENV", env={**os.environ, **{f"TAP_DEEPCONVERSE_{k}": v for k, v in settings.items()}})
    assert done.status == 0
    assert len(done.newest("conversations")) == 50
    assert not any("tags" in each or "browser_userMeta" in each["metadata"] for each in done.records("conversations"))
    assert done.log.count("is not a setting of this tap") == 1
    assert "`lookback_day` is not a setting of this tap" in done.log


@pytest.mark.parametrize(
    ("name", "text", "must_be"),
    [
        ("PAGE_SIZE", "many", "a whole number from 1 to 1000."),
        ("STREAM_MAPS", "{S3CRET", "JSON of the form that https://sdk.meltano.com"),
        ("STREAM_MAP_CONFIG", "S3CRET", "JSON of the form that --about describes."),
        ("BOT_NAMES", '["bot"', "a list of one or more bot names"),
        ("EXCLUDE_METADATA", "[__sys_userIp]", "a list of names"),
    ],
)
def test_a_variable_that_cannot_be_parsed_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, must_be: str
) -> None:
    monkeypatch.setenv(f"TAP_DEEPCONVERSE_{name}", text)
    (sentence,) = errors_of(VALID, parse_env_config=True)
    assert sentence.startswith(f"`{name.lower()}` (TAP_DEEPCONVERSE_{name} in the environment) must be {must_be}")
    assert "S3CRET" not in sentence


def test_blanks_around_a_bot_s_name_are_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    many = {'[" [DEV] bot ", "b", " b"]': ["[DEV] bot", "b"], "a, b\n": ["a", "b"], "a": ["a"], '["[]"]': ["[]"]}
    for text, names in many.items():
        monkeypatch.setenv("TAP_DEEPCONVERSE_BOT_NAMES", text)
        tap = TapDeepConverse(config=VALID, parse_env_config=True)
        assert [each["bot_name"] for each in tap.streams["messages"].partitions or []] == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"TAP_DEEPCONVERSE_PAGE_SIZE=7000\n", "`page_size` must be a whole number from 1 to 1000."),
        (b"TAP_DEEPCONVERSE_END_DAT=2026\n", "`end_dat` is not a setting of this tap, and is ignored."),
        (b"BOT_NAMES=Zo\xeb", "The file .env, from which `--config ENV` takes settings, is not text in UTF-8."),
        (b"BOT_NAMES=a\0b", "The file .env, from which `--config ENV` takes settings, is not text in UTF-8."),
    ],
)
def test_an_env_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes, said: str) -> None:
    (tmp_path / ".env").write_bytes(text)
    monkeypatch.chdir(tmp_path)
    assert said in command("--config", "ENV").log
