"""Imports run down only, from the tap to the rooms, and no file or class is too long to be read at once."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = ROOT / "tap_deepconverse"
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS = {
    "api": {"api"},
    "records": {"records"},
    "extract": {"extract", "records", "api"},
    "singer": {"singer", "extract", "records", "api"},
    "settings": set[str](),
    "validation": {"settings", "singer", "api"},
}
IMPORTERS = {
    "extraction": {"client", "tap"},
    "client": {"streams", "extraction", "connection_test", "tap"},
    "streams": {"tap"},
    "report": {"connection_test"},
    "open_questions": {"connection_test", "report"},
    "connection_test": {"tap"},
    "validation": {"tap"},
    "tap": {"__main__"},
}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[tuple[str, ...]]:
    """The modules that a file imports, in parts; those for the sake of types too."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    names |= {f"{n.module}.{name.name}" for n in nodes if isinstance(n, ast.ImportFrom) for name in n.names}
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in nodes)
    return {tuple(name.split(".")) for name in names}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_down_only(path: Path) -> None:
    room = room_of(path)
    ours = {name[1] for name in imported(path) if name[0] == PACKAGE.name}
    assert ours <= ROOMS.get(room, ours)
    assert {name for name in ours if room not in IMPORTERS.get(name, {room})} == set()
    if room == "extract":
        assert "singer_sdk" not in {name[0] for name in imported(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_is_too_long_to_be_read_at_once(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 260
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            assert (node.end_lineno or 0) - node.lineno < 160, node.name
