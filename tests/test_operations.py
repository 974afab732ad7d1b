"""What docs/operations.md shows is so."""

import json
import re
from pathlib import Path

import pytest

from sandbox.archive import DAY, Archive
from tests.conftest import NOW, Serve, WriteJson
from tests.leaks import leaks
from tests.support import ROOT, command, config_for, section

DOCUMENT = (ROOT / "docs" / "operations.md").read_text()


def block(heading: str, language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", section(DOCUMENT, heading), re.DOTALL)
    return str(text)


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_structured_logs_are_json_without_data(
    serve: Serve, archive: Archive, write_json: WriteJson, tmp_path: Path, level: str
) -> None:
    archive.add_bot("bot", 30, NOW - 10 * DAY, NOW)
    _, url = serve()
    config = tmp_path / "logging.yaml"
    config.write_text(block("Structured logs", "yaml").replace("level: INFO", f"level: {level}"))
    done = command("--config", write_json(config_for(url, "bot", "wrong")), env={"SINGER_SDK_LOG_CONFIG": str(config)})
    lines = [json.loads(line) for line in done.log.splitlines()]
    assert any("Bot 'wrong', stream 'messages'" in line["message"] for line in lines)
    assert leaks(done.log) == set()


def test_the_state_that_is_shown_is_one_that_a_run_goes_on_from(
    serve: Serve, archive: Archive, write_json: WriteJson
) -> None:
    state = json.loads(block("State", "json"))
    (partition,) = state["bookmarks"]["conversations"]["partitions"]
    bot_name = partition["context"]["bot_name"]
    archive.add_bot(bot_name, 30, NOW - 10 * DAY, NOW)
    _, url = serve()
    settings = config_for(url, bot_name, start_date="2026-01-01T00:00:00Z")
    done = command("--config", write_json(settings), "--state", write_json(state, "state.json"))
    assert done.status == 0
    assert "records from 2026-03-06 10:04" in done.log  # the lookback before what is complete
    assert "WARNING" not in done.log
