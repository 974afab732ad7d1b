"""What runs at GitHub is pinned, may do little, and calls what is there; what people copy and fill in is right."""

from __future__ import annotations

import re
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tap_deepconverse.tap import TapDeepConverse
from tests.support import ROOT, TAP

if TYPE_CHECKING:
    from pathlib import Path

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = [path for path in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) if path.name != "config.yml"]
EXAMPLE = (ROOT / ".env.example").read_text()
SETTINGS: dict[str, Any] = TapDeepConverse.config_jsonschema["properties"]
PREFIX = "TAP_DEEPCONVERSE_"


def name_of(path: Path) -> str:
    return path.name


def jobs_of(workflow: Path) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load(workflow.read_text())["jobs"]
    return jobs


def steps_of(workflow: Path) -> list[dict[str, Any]]:
    return [step for job in jobs_of(workflow).values() for step in job.get("steps", [])]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=name_of)
def test_every_action_is_pinned_by_a_hash_that_is_named(workflow: Path) -> None:
    used = re.findall(r"uses: (.+)", workflow.read_text())
    others = [line for line in used if not line.startswith("$/")]
    assert len(others) == sum("uses" in step for step in steps_of(workflow)) > 2
    assert [line for line in others if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []
    assert all((ROOT / line.removeprefix("$/")).is_file() for line in set(used) - set(others))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=name_of)
def test_a_job_may_do_only_what_it_says(workflow: Path) -> None:
    assert yaml.safe_load(workflow.read_text())["permissions"] == {}
    granted = {name: job["permissions"] for name, job in jobs_of(workflow).items()}
    more = {"publish": {"id-token": "write"}, "release": {"contents": "write"}}
    assert granted == {name: more.get(name, {"contents": "read"}) for name in granted}
    checkouts = [step for step in steps_of(workflow) if "checkout" in step.get("uses", "")]
    assert [step for step in checkouts if step["with"].get("persist-credentials") is not False] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=name_of)
def test_a_workflow_runs_what_is_there_and_pastes_nothing_into_it(workflow: Path) -> None:
    commands = [step["run"] for step in steps_of(workflow) if "run" in step]
    assert not any("${{" in line for line in commands)
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = {line.removeprefix("make ") for line in commands if line.startswith("make ")}
    assert made
    assert made <= targets


def test_the_tests_run_on_every_python() -> None:
    versions = jobs_of(GITHUB / "workflows" / "ci.yml")["test"]["strategy"]["matrix"]["python"]
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    assert versions == [c.split(" :: ")[-1] for c in classifiers if re.search(r":: 3\.\d+$", c)]


def test_nothing_is_published_that_was_not_tested() -> None:
    jobs = jobs_of(GITHUB / "workflows" / "release.yml")
    assert jobs["ci"]["uses"].endswith("/ci.yml")
    assert jobs["publish"]["needs"] == ["ci", "build"]
    assert jobs["publish"]["environment"] == "release"
    assert jobs["release"]["needs"] == ["publish"]


@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_a_form_asks_to_leave_out_keys_and_customers_data(form: Path) -> None:
    text = form.read_text()
    body = yaml.safe_load(text)["body"]
    assert re.search(r"[Ll]eave out keys and your customers' data", text)
    if form.name != "idea.yml":
        (report,) = [field for field in body if field.get("id") == "report"]
        assert "--test" in report["attributes"]["label"]
        assert report["validations"]["required"]
        assert body[-1]["attributes"]["options"][0]["required"]


def test_the_example_has_what_is_required_and_the_defaults() -> None:
    required = dict(re.findall(rf"^{PREFIX}(\w+)=(.*)$", EXAMPLE, re.MULTILINE))
    assert [name.lower() for name in required] == TapDeepConverse.config_jsonschema["required"]
    assert required["API_KEY"] == ""
    defaults = dict(re.findall(rf"^# {PREFIX}(\w+)=(.*)$", EXAMPLE, re.MULTILINE))
    assert {name.lower(): value for name, value in defaults.items()} == {
        name: str(schema["default"]) for name, schema in SETTINGS.items() if "default" in schema
    }


def test_a_shell_reads_the_example_for_the_tap(tmp_path: Path) -> None:
    """With the key filled in, all that is wrong is that nothing listens at the address."""
    text = EXAMPLE.replace(f"{PREFIX}API_KEY=", f"{PREFIX}API_KEY=a-key-of-mine", 1)
    text = re.sub(rf"^# ({PREFIX})", r"\1", text, flags=re.MULTILINE)
    (tmp_path / ".env").write_text(text.replace("https://api.converseapps.com", "http://127.0.0.1:9"))
    (how,) = re.findall(r"^#   (set -a.*)$", EXAMPLE, re.MULTILINE)
    tested = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", f'{how}; exec "$0" --config ENV --test', TAP],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert tested.returncode == 1
    assert "r3-218210" in tested.stdout
    assert "the API's host refuses the connection" in tested.stdout
