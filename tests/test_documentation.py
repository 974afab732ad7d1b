"""README, `meltano.yml`, `plugin.yml` and the tap say the same of every setting and stream."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tap_deepconverse import settings
from tap_deepconverse.tap import TapDeepConverse
from tests.support import ROOT, section

README = (ROOT / "README.md").read_text()
MELTANO = yaml.safe_load((ROOT / "meltano.yml").read_text())
(EXTRACTOR,) = MELTANO["plugins"]["extractors"]
CI = ROOT / ".github/workflows/ci.yml"
PLUGIN = yaml.safe_load((ROOT / "plugin.yml").read_text())
TAP = TapDeepConverse(validate_config=False)
SETTINGS: dict[str, Any] = TAP.config_jsonschema["properties"]
OWN_SETTINGS = [setting.name for setting in settings.SETTINGS]
REQUIRED: list[str] = TAP.config_jsonschema["required"]
FIGURE = r"\b\d+(?:\.\d+)? MB|\b\d+\.\d+ s\b"
KINDS = {"date-time": "date_iso8601", "array of strings": "array"}


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
