from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.exceptions import ConfigValidationError

from tap_deepconverse.tap import TapDeepConverse
from tests.support import TAP, command, config_for, one_window, sync

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_httpserver import HTTPServer

    from tests.conftest import Serve, WriteJson

VALID = config_for("https://api.converseapps.com")


def errors_of(config: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigValidationError) as refusal:
        TapDeepConverse(config=config)
    return refusal.value.errors


@pytest.mark.parametrize(
    ("setting", "values"),
    {
        "api_key": ["", "  ", "secret with blank", "secret\n", "sécret", 12345],
        "bot_names": [[], [""], ["a", " \t"], "bot", [7], {}, ["half an emoji \ud83d"]],
        "start_date": ["", "soon", "2025-02-30", "1969-12-31", 1744750665],
        "end_date": ["", "soon", 1744750665],
        "api_url": [
            "", "api.converseapps.com", "ftp://api.converseapps.com", "https://", "https://host:port", "https://a b",
            "http://api.converseapps.com", "http://10.0.0.1", "http://localhost.example.com", "https://u:p@example.com",
            "https://example.com?key=1", "https://example.com#a", "https://example.com?",
            "https://example.com#", "https://example.com/{api_key}", "http://[::1", 7,
        ],
        "page_size": [0, -1, 1001, "many", 1.5, True],
        "request_timeout": [0, -1, "long", 0.5, 10**12],
        "requests_per_second": [0, 10**400],
    }.items(),
)  # fmt: skip
def test_a_bad_value_is_one_sentence_that_names_the_setting(setting: str, values: list[Any]) -> None:
    for value in values:
        (sentence,) = errors_of({**VALID, setting: value})
        assert sentence.startswith(f"`{setting}` must be ")
        assert sentence.endswith(".")
        assert "secret" not in sentence
        assert "12345" not in sentence


@pytest.mark.parametrize("setting", ["api_key", "bot_names", "start_date"])
def test_a_missing_setting_is_named(setting: str) -> None:
    for config in ({**VALID, setting: None}, {name: VALID[name] for name in VALID if name != setting}):
        (sentence,) = errors_of(config)
        assert sentence.startswith(f"`{setting}` is missing: it must be ")


@pytest.mark.parametrize("end_date", ["2025-12-31", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+02:00"])
def test_the_end_is_later_than_the_start(end_date: str) -> None:
    assert errors_of({**VALID, "end_date": end_date}) == ["`end_date` must be later than `start_date`."]


def test_every_setting_that_is_wrong_is_named() -> None:
    assert [error.split("`")[1] for error in errors_of({"page_size": 0, "stream_maps": 7})] == [
        "api_key", "bot_names", "start_date", "page_size", "stream_maps",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [
        {"api_url": "https://example.com:8443/prefix/"},
        {"api_url": "http://localhost:8210"},
        {"api_url": "http://127.0.0.2"},
        {"api_url": "http://[::1]:8210/"},
        {"start_date": "2025-01-01"},
        {"end_date": "2027-01-01T00:00:00+02:00"},
        {"page_size": 1, "request_timeout": 1},
    ],
)
def test_good_values_are_taken(settings: dict[str, Any]) -> None:
    TapDeepConverse(config={**VALID, **settings})


@pytest.mark.parametrize("given", [{"flattening_enabled": True}, {"flattening_max_depth": 1}])
def test_the_settings_of_the_flattening_need_each_other(given: dict[str, Any]) -> None:
    (sentence,) = errors_of({**VALID, **given})
    assert sentence == "`flattening_enabled` and `flattening_max_depth` need each other: set both, or none."


def test_batch_messages_are_gone_and_their_setting_is_unknown(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    _, url = serve()
    batch = {"encoding": {"format": "jsonl"}, "storage": {"root": "nowhere"}}
    output = sync(config_for(url, batch_config=batch))
    assert {message["type"] for message in output.messages} == {"SCHEMA", "RECORD", "STATE"}
    assert "`batch_config` is not a setting of this tap, and is ignored" in caplog.text


def test_an_error_that_no_setting_causes_is_not_blamed_on_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        msg = "a bug"
        raise TypeError(msg)

    monkeypatch.setattr(TapDeepConverse, "load_state", fail)
    with pytest.raises(TypeError):
        TapDeepConverse(config={**VALID, "stream_maps": {"conversations": {"metadata": "__NULL__"}}})


def test_null_is_the_same_as_left_out() -> None:
    tap = TapDeepConverse(config={**VALID, "page_size": None, "end_date": None, "api_url": None})
    assert tap.config["page_size"] == 1000
    assert tap.config["api_url"] == "https://api.converseapps.com"


@pytest.mark.parametrize("arguments", [[], ["--test"]])
def test_the_command_says_it_without_a_traceback_or_a_request(
    arguments: list[str], httpserver: HTTPServer, write_json: WriteJson
) -> None:
    config = config_for(httpserver.url_for(""), page_size=5000, api_key="s3cret key")
    done = command("--config", write_json(config), *arguments)
    assert done.status == 1
    assert "`page_size` must be a whole number from 1 to 1000." in done.log
    assert "`api_key` must be the key" in done.log
    assert "Traceback" not in done.log
    assert "s3cret" not in done.log
    assert not httpserver.log


@pytest.mark.parametrize("option", ["--config", "--catalog", "--state"])
@pytest.mark.parametrize("text", [b"", b"{api_key: s3cret}", b"[]", b'"s3cret"', b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_json_object_is_said_in_a_sentence(write_json: WriteJson, option: str, text: bytes) -> None:
    path = write_json({}, "file.json")
    path.write_bytes(text)
    arguments: list[str | Path] = ["--config", write_json(VALID)] if option != "--config" else []
    done = command(*arguments, option, path)
    assert done.status == 1
    assert f"The file given as `{option}` " in done.log.splitlines()[-1]
    assert "Traceback" not in done.log
    assert "s3cret" not in done.log


@pytest.mark.parametrize("path", ["nowhere.json", "."])
def test_a_file_that_is_not_there_is_said_in_a_sentence(path: str) -> None:
    done = command("--config", path)
    assert done.status == 1
    assert done.log.rstrip().endswith(f": '{path}'.")
    assert "Traceback" not in done.log


@pytest.mark.parametrize("arguments", [[], ["--test"]])
def test_settings_are_read_once_as_from_a_pipe(serve: Serve, arguments: list[str]) -> None:
    _, url = serve()
    script = f"'{TAP}' --config <(echo \"$CONFIG\") --state <(echo '{{}}') {' '.join(arguments)}"
    environment = {**os.environ, "CONFIG": json.dumps(one_window(url))}
    done = subprocess.run(  # noqa: S603
        ["/bin/bash", "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("path", ["/dev/stdin", "-"])
def test_a_state_is_read_from_standard_input(serve: Serve, write_json: WriteJson, path: str) -> None:
    _, url = serve()
    config = write_json(one_window(url))
    done = subprocess.run(  # noqa: S603
        [TAP, "--config", config, "--state", path], input="[]", capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "The file given as `--state` does not hold a JSON object." in done.stderr


def test_settings_come_from_the_environment(serve: Serve) -> None:
    _, url = serve()
    environment = {
        **os.environ,
        "TAP_DEEPCONVERSE_API_KEY": "sandbox-key",
        "TAP_DEEPCONVERSE_API_URL": url,
        "TAP_DEEPCONVERSE_BOT_NAMES": '["bot"]',
        "TAP_DEEPCONVERSE_START_DATE": "2026-01-01",
        "TAP_DEEPCONVERSE_PAGE_SIZE": "20",
        "TAP_DEEPCONVERSE_REQUESTS_PER_SECOND": "1000",
    }
    done = command("--config", "ENV", env=environment)
    assert done.status == 0
    assert len(done.newest("conversations")) == 50


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        (
            "PAGE_SIZE",
            "many",
            "`page_size` (TAP_DEEPCONVERSE_PAGE_SIZE in the environment) must be a whole number from",
        ),
        ("STREAM_MAPS", "{", "`stream_maps` (TAP_DEEPCONVERSE_STREAM_MAPS in the environment) must be JSON."),
        ("BOT_NAMES", '["bot"', "`bot_names` (TAP_DEEPCONVERSE_BOT_NAMES in the environment) must be a list of one or"),
    ],
)
def test_what_cannot_be_read_in_the_environment_is_named(variable: str, value: str, sentence: str) -> None:
    names = {"API_KEY": "key", "BOT_NAMES": '["bot"]', "START_DATE": "2026-01-01", variable: value}
    environment = {f"TAP_DEEPCONVERSE_{name}": text for name, text in names.items()}
    done = command("--config", "ENV", env={**os.environ, **environment})
    assert done.status == 1
    assert sentence in done.log
    assert "Traceback" not in done.log


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_state_is_called_so(write_json: WriteJson, text: str) -> None:
    state = write_json({}, "state.json")
    state.write_text(text)
    done = command("--config", write_json(config_for("http://127.0.0.1:1")), "--state", state)
    assert done.status == 1
    assert "The file given as `--state` is not JSON in UTF-8" in done.log
    assert "In a first run, leave the option out" in done.log


def test_a_log_level_that_is_none_is_said_in_a_sentence(write_json: WriteJson) -> None:
    environment = {**os.environ, "TAP_DEEPCONVERSE_LOGLEVEL": "chatty"}
    done = command("--config", write_json(config_for("http://127.0.0.1:1")), env=environment)
    assert done.status == 1
    assert done.log == (
        "TAP_DEEPCONVERSE_LOGLEVEL (or LOGLEVEL) in the environment must be DEBUG, INFO, WARNING or ERROR.\n"
    )


@pytest.mark.parametrize(
    "given", ["lookback_day", "bot_name", "Page_Size", "api-key", "window_day", "bots", "start", "key"]
)
def test_an_unknown_setting_is_a_warning_that_names_the_nearest(caplog: pytest.LogCaptureFixture, given: str) -> None:
    nearest = {"lookback_day": "lookback_days", "bot_name": "bot_names", "window_day": "window_days"} | {
        "bots": "bot_names",
        "start": "start_date",
        "key": "api_key",
    }
    TapDeepConverse(config={**VALID, given: "S3CRET"})
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert f"`{given}` is not a setting of this tap, and is ignored: did you mean `" in warning
    assert f"`{nearest.get(given, given.lower().replace('-', '_'))}`?" in warning


def test_an_unknown_setting_is_named_beside_what_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    errors = errors_of({"bot_name": ["a"], **{name: VALID[name] for name in VALID if name != "bot_names"}})
    assert [error.split("`")[1] for error in errors] == ["bot_names"]
    assert "did you mean `bot_names`?" in caplog.text


def test_an_unknown_setting_that_is_like_none_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    TapDeepConverse(config={**VALID, "colour": "red", "{S3CRET": 1})
    assert "`colour` is not a setting of this tap, and is ignored." in caplog.text


def test_unknown_settings_in_the_environment_are_named_and_what_meltano_adds_is_not(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOOKBACK_DAY", "_SELECT", "PAGE_SIZE"):
        monkeypatch.setenv(f"TAP_DEEPCONVERSE_{name}", "5")
    monkeypatch.setenv("TAP_DEEPCONVERSE_LOGLEVEL", "DEBUG")
    tap = TapDeepConverse(config=VALID, parse_env_config=True)
    assert tap.config["page_size"] == 5
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "`lookback_day` is not a setting of this tap" in warning


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["  bot ", "a b\n"], ["bot", "a b"]),
        (["[DEV] bot"], ["[DEV] bot"]),
        (["[]"], ["[]"]),
        (["bot", " bot"], ["bot"]),
    ],
)
def test_blanks_around_a_bot_s_name_are_taken_off(given: list[str], names: list[str]) -> None:
    tap = TapDeepConverse(config={**VALID, "bot_names": given})
    assert [each["bot_name"] for each in tap.streams["messages"].partitions or []] == names


@pytest.mark.parametrize(
    ("text", "names"),
    [('[" [DEV] bot ", "b"]', ["[DEV] bot", "b"]), ("a, b", ["a", "b"]), ("a", ["a"])],
)
def test_names_of_bots_in_the_environment(monkeypatch: pytest.MonkeyPatch, text: str, names: list[str]) -> None:
    monkeypatch.setenv("TAP_DEEPCONVERSE_BOT_NAMES", text)
    assert TapDeepConverse(config=VALID, parse_env_config=True).config["bot_names"] == names


def test_a_misspelt_setting_in_an_env_file_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".env").write_text("TAP_DEEPCONVERSE_END_DAT=2026-01-01\n")
    monkeypatch.setenv("TAP_DEEPCONVERSE_END_DAT", "")  # so that what the SDK reads of the file is undone
    monkeypatch.delenv("TAP_DEEPCONVERSE_END_DAT")
    monkeypatch.setattr("singer_sdk.configuration._dict_config.find_dotenv", lambda: str(tmp_path / ".env"))
    TapDeepConverse(config=VALID, parse_env_config=True)
    assert "`end_dat` is not a setting of this tap, and is ignored: did you mean `end_date`?" in caplog.text


def test_stream_maps_of_another_form_are_a_sentence_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VALID.items():
        monkeypatch.setenv(f"TAP_DEEPCONVERSE_{name.upper()}", value if isinstance(value, str) else json.dumps(value))
    monkeypatch.setenv("TAP_DEEPCONVERSE_STREAM_MAPS", '{"messages": {"__filter__": 7}}')
    with pytest.raises(ConfigValidationError) as refusal:
        TapDeepConverse(parse_env_config=True)
    assert "stream_maps" in refusal.value.errors[0]


def test_an_env_file_that_is_not_utf_8_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_bytes(b"TAP_DEEPCONVERSE_BOT_NAMES=Zo\xeb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("singer_sdk.configuration._dict_config.find_dotenv", lambda: str(tmp_path / ".env"))
    with pytest.raises(ConfigValidationError) as refusal:
        TapDeepConverse(config=VALID, parse_env_config=True)
    assert refusal.value.errors == ["The file .env, from which `--config ENV` takes settings, is not UTF-8 text."]
