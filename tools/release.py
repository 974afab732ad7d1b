"""Check that a tag may be released, and print the notes for it: `python -m tools.release v1.0.0`."""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLACEHOLDER = "github.com/" + "OWNER"
ADDRESSES = ("pyproject.toml", "plugin.yml")
"""Files that are published, in which the project's address has to stand."""


def problems(tag: str, root: Path = ROOT) -> list[str]:
    """Find what has to be done before a tag can be released.

    Args:
        tag: The tag, such as v1.0.0.
        root: Where the project is.

    Returns:
        A sentence for each.
    """
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    found = []
    if tag != f"v{version}":
        found.append(f"the tag is {tag}, but the version in pyproject.toml is {version}")
    heading = re.search(r"^## .*$", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    if not heading or not re.fullmatch(rf"## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d", heading[0]):
        found.append(f"CHANGELOG.md has to begin with {version} and its date")
    found += [
        f"{name} still has OWNER in the project's address"
        for name in ADDRESSES
        if PLACEHOLDER in (root / name).read_text()
    ]
    return found


def notes(changelog: str) -> str:
    """Take the newest version's part of the changelog.

    Args:
        changelog: The text of CHANGELOG.md.

    Returns:
        What stands below the first heading of a version.
    """
    newest = changelog.split("\n## ")[1]
    return newest.split("\n", 1)[1].strip() + "\n"


def main() -> None:
    """Print the notes, or what has to be done first."""
    if found := problems(sys.argv[1]):
        sys.exit("\n".join(found))
    sys.stdout.write(notes((ROOT / "CHANGELOG.md").read_text()))


if __name__ == "__main__":
    main()
