"""What is published installs and runs: the wheel, the sdist, and the definition by which Meltano adds the tap."""

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
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.conftest import Serve
from tests.support import ROOT, config_for
from tools import plugin, release

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGE = {str(path.relative_to(ROOT)) for path in (ROOT / "tap_deepconverse").rglob("*.py")}
PACKAGE |= {"tap_deepconverse/py.typed"}
MELTANO_SCHEMA = json.loads(files("meltano").joinpath("schemas/meltano.schema.json").read_text())
DECOYS = [".env", "state.json", "output/rows.csv", "tap_deepconverse/.env", "tap_deepconverse/__pycache__/tap.pyc"]

ONLY_AT_THE_HUB = {"domain_url", "keywords", "maintenance_status", "quality", "supported_python_versions"}
"""Fields that Meltano Hub asks for, and that the schema of `meltano.yml` does not know."""

OFFLINE = {
    "PYTHONPATH": "",  # what is installed is run
    "PIP_NO_INDEX": "1",
    "UV_OFFLINE": "1",
    "UV_NO_CACHE": "1",
    "MELTANO_HUB_URL": "http://127.0.0.1:9",
    "MELTANO_CLI_DISABLE_VERSION_CHECK": "true",
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
    for name in ("tap_deepconverse", "tests"):
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


def test_the_wheel_and_the_sdist_have_the_package_and_what_explains_it(built: Path) -> None:
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    about = f"tap_deepconverse-{PROJECT['version']}.dist-info"
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.startswith(about)}
        metadata = HeaderParser().parsestr(archive.read(f"{about}/METADATA").decode())
    assert names == PACKAGE
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_payload() == (ROOT / "README.md").read_text()
    with tarfile.open(sdist) as tar:
        names = {name.split("/", 1)[1] for name in tar.getnames()}
    explains = {"CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "plugin.yml", "pyproject.toml"}
    assert names == PACKAGE | explains | {"PKG-INFO", ".gitignore"}  # the builder puts these two there


def test_meltano_adds_installs_and_runs_the_plugin(built: Path, tmp_path: Path, serve: Serve) -> None:
    """As a user does it, but that the wheel built here stands in for the address, and its dependencies are lent."""
    meltano, project = Path(sys.executable).parent / "meltano", tmp_path / "project"
    (wheel,) = built.glob("*.whl")
    definition = re.sub("(?m)^pip_url: .*$", f"pip_url: --no-deps {wheel}", plugin.PLUGIN.read_text(), count=1)
    (tmp_path / "plugin.yml").write_text(definition)

    project.mkdir()
    (project / "meltano.yml").write_text("version: 1\n")
    run(
        *(meltano, "add", "--plugin-type", "extractor", "tap-deepconverse", "--from-ref", tmp_path / "plugin.yml"),
        cwd=project,
    )
    (added,) = yaml.safe_load((project / "meltano.yml").read_text())["plugins"]["extractors"]
    written = yaml.safe_load(definition)
    assert added == {name: written[name] for name in written.keys() - ONLY_AT_THE_HUB | {"supported_python_versions"}}

    # The environment may import what the tests' own has installed, but for what is installed as editable.
    (packages,) = (project / ".meltano/extractors/tap-deepconverse/venv").glob("lib/*/site-packages")
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib"))
    _, url = serve()
    values = {name: value if isinstance(value, str) else json.dumps(value) for name, value in config_for(url).items()}
    lines = [f"TAP_DEEPCONVERSE_{name.upper()}='{value}'\n" for name, value in values.items()]
    (project / ".env").write_text("".join(lines))
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
