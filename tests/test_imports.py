"""Imports run down only, and no file or class is too long to be read at once."""

import ast
from graphlib import TopologicalSorter

from tests.support import ROOT

HOUSE = [
    {"__main__"},
    {"tap"},
    {"streams", "client", "check"},
    {"sync"},
    {"bot"},
    {"endpoint", "settings"},
    {"singer", "extract"},
    {"records"},
    {"api"},
]
"""From the top down. A folder imports none of its own row."""

NOT_IN = {"extract": {"requests", "urllib3", "singer_sdk"}}
PACKAGE = ROOT / "tap_deepconverse"


def imports_of(tree: ast.AST) -> set[str]:
    """The modules that a file imports, those for the sake of types too."""
    nodes = list(ast.walk(tree))
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in nodes)
    names = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    return names | {f"{n.module}.{name.name}" for n in nodes if isinstance(n, ast.ImportFrom) for name in n.names}


def test_imports_run_down_in_files_that_can_be_read_at_once() -> None:
    floor = {room: number for number, rooms in enumerate(HOUSE) for room in rooms}
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    wrong: list[str] = []
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        text = path.read_text()
        tree = ast.parse(text)
        names = imports_of(tree)
        graph[module] = {known for name in names for known in (name, name.rpartition(".")[0]) if known in modules}
        room = module.split(".")[1]
        if room == "__init__":
            continue
        highest = floor[room] + (PACKAGE / room).is_dir()
        others = {name.split(".")[1] for name in graph[module]} - {room}
        forbidden = [name for name in names if name.split(".")[0] in NOT_IN.get(room, ())]
        classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        long = [each.name for each in classes if (each.end_lineno or 0) - each.lineno >= 150]
        wrong += [f"{module} imports {other}" for other in others if floor[other] < highest]
        wrong += [f"{module} imports {name}" for name in forbidden if not name.startswith("singer_sdk.exceptions.")]
        wrong += [f"{module}: {name} is too long" for name in long + ["it"] * (len(text.splitlines()) > 250)]
    assert wrong == []
    tuple(TopologicalSorter(graph).static_order())  # fails at a circle
