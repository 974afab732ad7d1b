"""Write `plugin.yml`, the definition by which Meltano adds the tap in one line: `make plugin`.

What the tap says of itself with `--about` is taken from there, addresses and keywords from `pyproject.toml`.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
PLUGIN = ROOT / "plugin.yml"
HEADER = "# How Meltano, and Meltano Hub, know the tap. Made by: make plugin\n"

SENSITIVE = {"stream_map_config"}
"""Settings that may hold a secret, though the SDK does not say so: a salt, for example."""


def about() -> dict[str, Any]:
    """Ask the installed tap what it is.

    Returns:
        What `--about --format=json` prints.
    """
    tap = Path(sys.executable).parent / "tap-deepconverse"
    done = subprocess.run([tap, "--about", "--format=json"], capture_output=True, check=True)  # noqa: S603
    described: dict[str, Any] = json.loads(done.stdout)
    return described


def setting(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Describe a setting as Meltano does.

    Args:
        name: Its name.
        schema: Its JSON schema.

    Returns:
        A setting of a plugin definition.
    """
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    # Not `date_iso8601` for times: Meltano would make 2025-01-13 of 2025-13-01, in silence.
    described = {"name": name, "kind": next(kind for kind in types if kind != "null")}
    if "default" in schema:
        described["value"] = schema["default"]
    described |= {"label": schema["title"], "description": schema["description"]}
    if schema.get("secret") or name in SENSITIVE:
        described["sensitive"] = True
    return described


def definition(tap: dict[str, Any], project: dict[str, Any]) -> dict[str, Any]:
    """Define the plugin.

    Args:
        tap: What the tap says of itself.
        project: The table `project` of `pyproject.toml`.

    Returns:
        The plugin definition.
    """
    repository, settings = project["urls"]["Repository"], tap["settings"]
    return {
        "name": tap["name"],
        "namespace": tap["name"].replace("-", "_"),
        "label": "DeepConverse",
        "variant": "community",
        "description": tap["description"],
        "docs": project["urls"]["Documentation"],
        "repo": repository,
        "domain_url": "https://www.deepconverse.com",
        "pip_url": f"git+{repository}.git",
        "executable": next(iter(project["scripts"])),
        "keywords": [keyword for keyword in project["keywords"] if keyword not in {"singer", "tap"}] + ["meltano_sdk"],
        "maintenance_status": "beta",
        "quality": "unknown",
        "supported_python_versions": tap["supported_python_versions"],
        "capabilities": sorted(tap["capabilities"]),
        "settings_group_validation": [settings["required"]],
        "settings": [setting(name, schema) for name, schema in settings["properties"].items()],
    }


def written() -> str:
    """Write the definition as the file has it.

    Returns:
        The text of `plugin.yml`.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return HEADER + yaml.safe_dump(definition(about(), project), sort_keys=False, allow_unicode=True, width=110)


if __name__ == "__main__":
    PLUGIN.write_text(written())
