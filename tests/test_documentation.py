"""What the documents say of settings, streams, versions and files is so, and every link leads somewhere."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.archive import DAY, Archive
from tap_deepconverse import settings
from tap_deepconverse.tap import TapDeepConverse
from tests.conftest import NOW, Serve, WriteJson
from tests.leaks import leaks
from tests.support import ROOT, command, config_for, section

README = (ROOT / "README.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
MELTANO = yaml.safe_load((ROOT / "meltano.yml").read_text())
(EXTRACTOR,) = MELTANO["plugins"]["extractors"]
CI = ROOT / ".github/workflows/ci.yml"
PLUGIN = yaml.safe_load((ROOT / "plugin.yml").read_text())
TAP = TapDeepConverse(validate_config=False)
SETTINGS: dict[str, Any] = TAP.config_jsonschema["properties"]
OWN_SETTINGS = [setting.name for setting in settings.SETTINGS]
REQUIRED: list[str] = TAP.config_jsonschema["required"]
FIGURE = r"\b\d+(?:\.\d+)? MB|\b\d+\.\d+ s\b"
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"""\]\(\s*<?([^)\s>]+)|^\[[^\]]+\]:\s*(\S+)|(?:href|src|srcset)=["']([^"']+)""", re.MULTILINE)
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("dbt/*.md"), *ROOT.glob("benchmarks/*.md")]
KINDS = {"date-time": "string", "array of strings": "array"}


def rows_under(heading: str) -> list[str]:
    return [line for line in section(README, heading).splitlines() if line.startswith("| `")]


def type_of(schema: dict[str, Any]) -> str:
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    name: str = schema.get("format") or next(name for name in names if name != "null")
    return f"{name} of {type_of(schema['items'])}s" if name == "array" else name


def test_the_readme_has_every_setting_as_it_is() -> None:
    expected = []
    for name in OWN_SETTINGS:
        schema = SETTINGS[name]
        secret = ", secret" if schema.get("secret") else ""
        default = "required" if name in REQUIRED else f"`{schema['default']}`" if "default" in schema else ""
        expected.append(f"| `{name}` | {type_of(schema)}{secret} | {default} | {schema['description']} |")
    assert rows_under("Settings") == expected


def test_the_readme_has_every_stream_and_field_as_it_is() -> None:
    expected = []
    for name, stream in TAP.streams.items():
        fields = ", ".join(f"`{field}` {type_of(schema)}" for field, schema in stream.schema["properties"].items())
        head = f"| `{name}` | `{stream.primary_keys[0]}` | `{stream.replication_key}` |"
        expected.append(f"{head} {stream.__doc__} {fields} |")
    assert sorted(rows_under("Streams")) == sorted(expected)


def test_meltano_has_every_setting_capability_and_stream_as_it_is() -> None:
    expected = []
    for name, schema in SETTINGS.items():
        setting = {
            "name": name,
            "kind": KINDS.get(type_of(schema), type_of(schema)),
            "label": schema["title"],
            "description": schema["description"],
        }
        if schema.get("secret") or name == "stream_map_config":  # where a salt is
            setting["sensitive"] = True
        if "default" in schema:
            setting["value"] = schema["default"]
        expected.append(setting)
    assert EXTRACTOR["settings"] == expected
    assert EXTRACTOR["settings_group_validation"] == [REQUIRED]
    assert EXTRACTOR["capabilities"] == sorted(capability.value for capability in TapDeepConverse.capabilities)
    assert sorted(EXTRACTOR["select"]) == sorted(f"{name}.*" for name in TAP.streams)


def test_the_layout_has_every_module() -> None:
    layout = (ROOT / "CONTRIBUTING.md").read_text()
    modules = {path.name for path in (ROOT / "tap_deepconverse").glob("*.py")} - {"__init__.py", "__main__.py"}
    assert {module for module in modules if f"`{module}`" not in layout and f"/{module}`" not in layout} == set()


def test_the_changelog_is_at_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## [")]
    headings = [line for line in headings if not line.endswith("unreleased")]
    assert headings[0].startswith(f"## [{version}]")
    assert TapDeepConverse.plugin_version == version


def test_the_versions_of_python_are_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    prefix = "Programming Language :: Python :: 3."
    versions = [f"3.{c.removeprefix(prefix)}" for c in project["classifiers"] if c.startswith(prefix)]
    assert PLUGIN["supported_python_versions"] == versions
    assert yaml.safe_load(CI.read_text())["jobs"]["test"]["strategy"]["matrix"]["python"] == versions
    assert project["requires-python"] == f">={versions[0]}"
    assert f"Python {versions[0]} to {versions[-1]}" in README


@pytest.mark.parametrize("workflow", sorted(CI.parent.glob("*.yml")), ids=lambda path: path.name)
def test_every_action_is_pinned_by_a_hash_and_no_key_stays_in_a_checkout(workflow: Path) -> None:
    used = re.findall(r"uses: (?!\$/)(.+)", workflow.read_text())
    assert [line for line in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []
    text = workflow.read_text()
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")


def test_the_example_of_an_environment_has_what_is_required_and_the_defaults() -> None:
    example = (ROOT / ".env.example").read_text()
    named = re.findall(r"^(# )?TAP_DEEPCONVERSE_(\w+)=(.*)$", example, re.MULTILINE)
    assert [name.lower() for comment, name, _ in named if not comment] == REQUIRED
    assert {name.lower(): value for comment, name, value in named if comment} == {
        name: str(schema["default"]) for name, schema in SETTINGS.items() if "default" in schema
    }


def test_the_figures_in_the_readme_are_those_that_were_measured() -> None:
    """In each row, all are from one table of the results; in the text, from any."""
    measured, speed = (ROOT / "benchmarks" / "RESULTS.md").read_text(), section(README, "How fast it is")
    tables = [figures_in(table) for table in measured.split("\n\n") if table.startswith("|")]
    rows = [line for line in speed.splitlines() if line.startswith("|") and figures_in(line)]
    assert rows
    assert [row for row in rows if not any(figures_in(row) <= table for table in tables)] == []
    assert figures_in(speed) <= set().union(*tables)


def figures_in(text: str) -> set[str]:
    return set(re.findall(FIGURE, text))


def anchors_of(text: str) -> set[str]:
    """The names that GitHub gives to headings."""
    headings = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for found in LINK.findall(CODE.sub("", page.read_text())):
        link = "".join(found)
        name, _, anchor = link.partition("#")
        target = (page.parent / name if name else page).resolve()
        if re.match(r"[a-z]+:", link):
            continue
        is_there = target.exists() and target.is_relative_to(ROOT)
        if not is_there or (anchor and target.suffix == ".md" and anchor not in anchors_of(target.read_text())):
            broken.append(link)
    assert broken == []


def block(heading: str, language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", section(OPERATIONS, heading), re.DOTALL)
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
