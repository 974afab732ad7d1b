"""Every relative link in a Markdown file leads somewhere, and all places of the address to come are known."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.support import ROOT
from tools.release import ADDRESSES, PLACEHOLDER

MADE = {line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line.endswith("/")} | {".git"}
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"""\]\(\s*<?([^)\s>]+)|^\[[^\]]+\]:\s*(\S+)|(?:href|src|srcset)=["']([^"']+)""", re.MULTILINE)


def all_files() -> list[Path]:
    """The project's own files: not what git ignores."""
    found: list[Path] = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in MADE and not name.endswith(".egg-info")]
        found += [Path(folder, name) for name in names]
    return sorted(found)


PAGES = [path for path in all_files() if path.suffix == ".md" and ROOT / "output" not in path.parents]


def links_in(text: str) -> list[str]:
    links = [next(filter(None, groups)) for groups in LINK.findall(CODE.sub("", text))]
    return [link for link in links if not re.match(r"[a-z]+:", link)]


def anchors_of(text: str) -> set[str]:
    """The names that GitHub gives to headings; of headings that are the same, the later ones have a number."""
    anchors: set[str] = set()
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for heading in re.findall(r"^#+ +(.+?) *$", prose, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        again = sum(anchor == name or re.fullmatch(rf"{re.escape(name)}-\d+", anchor) is not None for anchor in anchors)
        anchors.add(f"{name}-{again}" if again else name)
    return anchors | set(re.findall(r"""<a (?:id|name)=["']([^"']+)""", text))


def broken_in(page: Path, root: Path = ROOT) -> list[str]:
    broken = []
    for link in links_in(page.read_text()):
        name, _, anchor = link.partition("#")
        target = (page.parent / name if name else page).resolve()
        is_there = target.exists() and target.is_relative_to(root)
        if not is_there or (anchor and target.suffix == ".md" and anchor not in anchors_of(target.read_text())):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken_in(page) == []


def test_the_release_checklist_names_all_places_of_the_address() -> None:
    checklist = (ROOT / "docs" / "release.md").read_text().split("## Each time")[0]
    text = {str(path.relative_to(ROOT)): path.read_bytes() for path in all_files() if path.suffix != ".pyc"}
    holding = {name for name, content in text.items() if PLACEHOLDER.encode() in content}
    listed = set(re.findall(r"^   - `(.+?)`: ", checklist, re.MULTILINE))
    assert holding <= listed
    assert {name for name in {*listed, *ADDRESSES} if name not in text or name not in listed} == set()
