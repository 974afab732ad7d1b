"""Print constraints under which pip installs the oldest dependencies that are allowed: `make oldest`.

They are the lower bounds in `pyproject.toml`, and for all else the versions in `constraints.txt`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent


def lower_bound(line: str) -> tuple[str, str]:
    """Find the oldest version that a dependency allows.

    Args:
        line: The dependency, as `pyproject.toml` has it.

    Returns:
        Its name, in the form that is used to compare names, and the version.

    Raises:
        ValueError: If it has no lower bound, or several.
    """
    requirement = Requirement(line)
    versions = [bound.version for bound in requirement.specifier if bound.operator in {">=", "=="}]
    if len(versions) != 1:
        msg = f"{line!r} in pyproject.toml needs one lower bound"
        raise ValueError(msg)
    return canonicalize_name(requirement.name), versions[0]


def constraints(dependencies: list[str], others: list[str]) -> list[str]:
    """Combine lower bounds with the versions of everything else.

    Args:
        dependencies: What the tap depends on.
        others: Lines such as `name==version`, for whatever else is installed.

    Returns:
        Lines such as `name==version`.
    """
    oldest = dict(lower_bound(line) for line in dependencies)
    rest = [line for line in others if canonicalize_name(line.split("==")[0]) not in oldest]
    return [f"{name}=={version}" for name, version in oldest.items()] + rest


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    print("\n".join(constraints(project["dependencies"], pinned)))  # noqa: T201
