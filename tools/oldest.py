"""Print constraints under which pip installs the oldest dependencies that are allowed: `make oldest`.

They are the lower bounds in `pyproject.toml`, and for what only tests need the versions in `constraints.txt`. What the
dependencies need themselves is not constrained: an old version may need another than a new one.
"""

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


def constraints(dependencies: list[str], tools: list[str], pinned: list[str]) -> list[str]:
    """Combine the lower bounds of the dependencies with the known versions of the tests' own tools.

    Args:
        dependencies: What the tap depends on.
        tools: What the tests need besides.
        pinned: Lines such as `name==version`.

    Returns:
        Lines such as `name==version`.
    """
    oldest = dict(lower_bound(line) for line in dependencies)
    names = {canonicalize_name(Requirement(line).name) for line in tools} - oldest.keys()
    known = [line for line in pinned if canonicalize_name(line.split("==")[0]) in names]
    return [f"{name}=={version}" for name, version in oldest.items()] + known


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    print("\n".join(constraints(project["dependencies"], project["optional-dependencies"]["test"], lines)))  # noqa: T201
