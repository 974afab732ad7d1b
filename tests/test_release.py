"""What is published installs and runs: the wheel, the sdist, and the definition by which Meltano adds the tap."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
from email.parser import HeaderParser
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.support import ROOT, config_for
from tools import oldest, plugin, release

if TYPE_CHECKING:
    from tests.conftest import Serve, WriteJson

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGE = {str(path.relative_to(ROOT)) for path in (ROOT / "tap_deepconverse").rglob("*.py")}
MELTANO_SCHEMA = json.loads(files("meltano").joinpath("schemas/meltano.schema.json").read_text())
DECOYS = [".env", "config.json", "state.json", "tests/data.jsonl", "output/rows.csv"]
DECOYS += [f"tap_deepconverse/{name}" for name in (".env", "state.json", "__pycache__/tap.pyc", ".venv/python")]

ONLY_AT_THE_HUB = {"domain_url", "keywords", "maintenance_status", "quality", "supported_python_versions"}
"""Fields that Meltano Hub asks for, and that the schema of `meltano.yml` does not know."""

OFFLINE = {
    "PYTHONPATH": "",  # what is installed is run
    "PIP_NO_INDEX": "1",
    "UV_OFFLINE": "1",
    "UV_NO_CACHE": "1",
    "MELTANO_HUB_URL": "http://127.0.0.1:9",
    "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
}


def run(*command: str | Path, cwd: Path | None = None, **env: str) -> str:
    """Run a command that has to succeed, without a network; gives its standard output."""
    done = subprocess.run(  # noqa: S603
        command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False, env={**os.environ, **OFFLINE, **env}
    )
    sys.stderr.write(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a wheel and an sdist, built where much lies about that must not be in them."""
    source, into = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("tap_deepconverse", "tests", "sandbox"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file() and path.name != ".env":
            shutil.copy(path, source)
    for name in DECOYS:
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a customer's data")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", into, source)
    return into


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


def lend_dependencies(environment: Path) -> None:
    """Let an environment import what the tests' own has installed, but for what is installed as editable."""
    (packages,) = environment.glob("lib/*/site-packages")
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib"))


def test_the_wheel_has_the_package_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        about = f"tap_deepconverse-{PROJECT['version']}.dist-info"
        metadata = HeaderParser().parsestr(archive.read(f"{about}/METADATA").decode())
        text = archive.read(f"{about}/licenses/LICENSE").decode()
    assert {name for name in names if not name.startswith(about)} == PACKAGE | {"tap_deepconverse/py.typed"}
    assert text == (ROOT / "LICENSE").read_text()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Author"] == "tap-deepconverse maintainers"
    assert metadata.get_payload() == (ROOT / "README.md").read_text()


def test_the_sdist_has_the_package_and_what_explains_it(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    explains = {"CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "plugin.yml", "pyproject.toml"}
    made = {"PKG-INFO", ".gitignore"}  # the builder puts them there
    assert names == PACKAGE | {"tap_deepconverse/py.typed"} | explains | made


def test_the_wheel_runs_in_an_environment_of_its_own(
    wheel: Path, tmp_path: Path, serve: Serve, write_json: WriteJson
) -> None:
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    run(sys.executable, "-m", "pip", "--python", environment / "bin/python", "install", "--no-deps", wheel)
    lend_dependencies(environment)
    tap = environment / "bin/tap-deepconverse"
    where = "import tap_deepconverse; print(tap_deepconverse.__file__)"
    assert run(environment / "bin/python", "-c", where, cwd=tmp_path).startswith(str(environment))
    assert run(tap, "--version", cwd=tmp_path).startswith(f"tap-deepconverse v{PROJECT['version']},")
    assert json.loads(run(tap, "--about", "--format=json", cwd=tmp_path)) == plugin.about()
    _, url = serve()
    messages = run(tap, "--config", write_json(config_for(url)), cwd=tmp_path)
    assert sum('"RECORD"' in line and '"conversations"' in line for line in messages.splitlines()) == 50


def test_meltano_adds_installs_and_runs_the_plugin(wheel: Path, tmp_path: Path, serve: Serve) -> None:
    """As a user does it, but that the wheel built here stands in for the address, and its dependencies are lent."""
    meltano, project = Path(sys.executable).parent / "meltano", tmp_path / "project"
    definition, count = re.subn(
        "(?m)^pip_url: .*$", f"pip_url: --no-deps {wheel}", (ROOT / "plugin.yml").read_text(), count=1
    )
    assert count == 1
    (tmp_path / "plugin.yml").write_text(definition)

    run(meltano, "init", project, cwd=tmp_path)
    run(
        *(meltano, "add", "--plugin-type", "extractor", "tap-deepconverse", "--from-ref", tmp_path / "plugin.yml"),
        cwd=project,
    )
    (added,) = yaml.safe_load((project / "meltano.yml").read_text())["plugins"]["extractors"]
    written = yaml.safe_load(definition)
    assert added == {name: written[name] for name in written.keys() - ONLY_AT_THE_HUB | {"supported_python_versions"}}

    lend_dependencies(project / ".meltano/extractors/tap-deepconverse/venv")
    settings = run(meltano, "config", "list", "tap-deepconverse", "--all", cwd=project)
    assert [name for name in (s["name"] for s in written["settings"]) if f"\n{name} [env:" not in settings] == []
    _, url = serve()
    (project / ".env").write_text(
        "".join(
            f"TAP_DEEPCONVERSE_{name.upper()}='{value if isinstance(value, str) else json.dumps(value)}'\n"
            for name, value in config_for(url).items()
        )
    )
    messages = run(meltano, "invoke", "tap-deepconverse", cwd=project)
    assert sum('"RECORD"' in line and '"conversations"' in line for line in messages.splitlines()) == 50


def test_the_plugin_is_as_the_tap_says() -> None:
    assert plugin.PLUGIN.read_text() == plugin.written(), "plugin.yml is not up to date: make plugin"


def test_the_plugin_is_valid_for_meltano() -> None:
    definition = yaml.safe_load(plugin.PLUGIN.read_text())
    assert definition.keys() >= ONLY_AT_THE_HUB
    schema = {**MELTANO_SCHEMA["$defs"]["plugins"]["extractors"], "$defs": MELTANO_SCHEMA["$defs"]}
    known = {name: value for name, value in definition.items() if name not in ONLY_AT_THE_HUB}
    Draft202012Validator(schema).validate(known)


def test_every_dependency_has_a_lower_bound_to_try() -> None:
    tools, pinned = (
        ["pytest-xdist>=3", "click>=9"],
        ["click==99", "pytest_xdist==4", "typing_extensions==99", "other==1"],
    )
    pins = oldest.constraints(PROJECT["dependencies"], tools, pinned)
    assert pins[-1] == "pytest_xdist==4"
    assert len(pins) == len(PROJECT["dependencies"]) + 1
    assert len({pin.split("==")[0] for pin in pins}) == len(pins)
    assert not any(pin.endswith("==99") for pin in pins)


def test_a_release_needs_its_tag_version_changelog_and_address(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n')
    (tmp_path / "plugin.yml").write_text(f"repo: https://{release.PLACEHOLDER}/tap-deepconverse\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [1.2.0] - unreleased\n\n- x\n")
    assert release.problems("v1.1.0", tmp_path) == [
        "the tag is v1.1.0, but the version in pyproject.toml is 1.2.0",
        "CHANGELOG.md has to begin with 1.2.0 and its date",
        "plugin.yml still has OWNER in the project's address",
    ]
    (tmp_path / "plugin.yml").write_text("repo: https://github.com/somebody/tap-deepconverse\n")
    changelog = "# Changelog\n\n## [1.2.0] - 2026-12-01\n\n### Added\n\n- x\n\n## [1.1.0] - 2026-11-01\n\n- y\n"
    (tmp_path / "CHANGELOG.md").write_text(changelog)
    assert release.problems("v1.2.0", tmp_path) == []
    assert release.notes(changelog) == "### Added\n\n- x\n"
