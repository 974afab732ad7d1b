"""Takes the recipes from `docs/recipes.md`, and runs them as they are printed.

A comment before a fenced block says what it is: `not run: …`, `file: NAME` (to be saved), `part of: NAME` (a line of
that file) or `meltano.yml: WHERE`. A block without a comment is a console: lines with `$ ` are run, the others are
lines of the output.
"""

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from sandbox.archive import DAY, Archive
from sandbox.contract import KEY
from sandbox.server import Sandbox
from tests.support import ROOT, table_cells
from tests.warehouses import UNDOCUMENTED

DOCUMENT = ROOT / "docs" / "recipes.md"
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
BOTS = ["shop-assistant", "r3-218210"]
START = "2025-01-01"


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what the comment before it says, and its text."""

    language: str
    mark: str
    text: str

    @property
    def kind(self) -> str:
        return self.mark.split(":")[0] or self.language

    @property
    def name(self) -> str:
        return self.mark.partition(": ")[2]

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """The commands of a console, each with the lines of its output that are printed."""
        commands: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                commands.append((line[2:], []))
            else:
                commands[-1][1].append(line)
        return commands


def sections() -> dict[str, str]:
    """The text of each recipe, by its heading."""
    _, *parts = re.split(r"^## ", DOCUMENT.read_text(), flags=re.MULTILINE)
    return {heading: text for heading, _, text in (part.partition("\n") for part in parts)}


def blocks(heading: str) -> list[Block]:
    """The fenced blocks of a recipe, in their order."""
    found = BLOCK.finditer(sections()[heading])
    return [Block(each["language"], each["mark"] or "", each["text"]) for each in found]


@dataclass
class Folder:
    """A folder in which recipes are followed."""

    path: Path
    url: str
    variables: dict[str, str] = field(default_factory=dict)
    programs: list[Path] = field(default_factory=list)

    def run(self, command: str) -> tuple[int, str]:
        """Run a command; gives its status and what it has written to standard output."""
        done = self.start(command)
        output, log = done.communicate(timeout=1200)
        sys.stderr.write(log + output)  # where it is searched for what must not be logged
        return done.returncode, output

    def start(self, command: str) -> subprocess.Popen[str]:
        """Start a command, in a process group of its own."""
        folders = [Path(sys.executable).parent, *self.programs, os.environ["PATH"]]
        environment = {
            **os.environ,
            "PATH": os.pathsep.join(map(str, folders)),
            "MELTANO_CLI_DISABLE_VERSION_CHECK": "true",
            "TAP_DEEPCONVERSE_API_KEY": KEY,
            "TAP_DEEPCONVERSE_API_URL": self.url,
            "TAP_DEEPCONVERSE_START_DATE": START,
            "TAP_DEEPCONVERSE_REQUESTS_PER_SECOND": "1000",
            "TAP_DEEPCONVERSE_WINDOW_DAYS": "365",
            **self.variables,
        }
        return subprocess.Popen(  # noqa: S603
            ["bash", "-c", command],  # noqa: S607
            env=environment, cwd=self.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip

    def follow(self, heading: str) -> None:
        """Do what a recipe says: save its files, and run its commands, which print what it says."""
        for each in blocks(heading):
            match each.kind:
                case "console":
                    for command, expected in each.commands:
                        status, output = self.run(command)
                        assert status == 0, command
                        assert set(expected) <= set(output.splitlines()), command
                case "file":
                    (self.path / each.name).write_text(each.text)
                case "meltano.yml":
                    self.declare(each.name, each.text)
                case "part of":
                    assert each.commands[0][0] + "\n" in block_of_file(each.name).text
                case kind:
                    assert kind == "not run"

    def declare(self, what: str, definition: str) -> None:
        """Add loaders, or settings of the extractor, to the project."""
        path = self.path / "meltano.yml"
        project = yaml.safe_load(path.read_text())
        if what == "loaders":
            project["plugins"]["loaders"] += yaml.safe_load(definition)
        else:
            project["plugins"]["extractors"][0] |= yaml.safe_load(definition)
        path.write_text(yaml.safe_dump(project, sort_keys=False))


def block_of_file(name: str) -> Block:
    """The block that is to be saved under a name."""
    (found,) = (each for heading in sections() for each in blocks(heading) if each.mark == f"file: {name}")
    return found


def two_bots() -> Archive:
    """Two bots that have talked until a minute ago, each record with a field that no document names."""
    now = int(time.time() - 60) * 1000
    archive = Archive(seed=3)
    for bot_name in BOTS:
        archive.add_bot(bot_name, 60, now - 60 * DAY, now)
        for records in archive.records.values():
            for record in records[bot_name].values():
                record[UNDOCUMENTED] = 1
    return archive


def states(project: Folder) -> dict[str, Any]:
    """The states that a Meltano project keeps, by their names."""
    with closing(sqlite3.connect(project.path / ".meltano" / "meltano.db")) as database:
        rows = database.execute("SELECT state_id, completed_state FROM state")
        return {name: json.loads(completed)["singer_state"] for name, completed in rows}


def bots_read_from(sandbox: Sandbox, day: str) -> set[str]:
    """The bots that were read from the beginning of a day on; forgets the requests so far."""
    moment = str(int(datetime.fromisoformat(f"{day}T00:00:00Z").timestamp()) - 1)
    found = {query["bot_name"] for query in sandbox.requests if query["start_time"] == moment}
    sandbox.requests.clear()
    return found


def columns_of(loader: str) -> dict[str, str]:
    """What the table of columns says of a loader: by a column's name, what becomes of it."""
    head, _, *rows = table_cells(sections()["What each loader makes of the columns"])
    cells = {row[0].strip("`"): row[head.index(loader)] for row in rows}
    return {name: cell for name, cell in cells.items() if cell}


def new_project(path: Path, url: str, *bots: str, **variables: str) -> Folder:
    """Make a Meltano project of this repository's `meltano.yml`, whose plugins are installed already."""
    if bots:
        variables["TAP_DEEPCONVERSE_BOT_NAMES"] = json.dumps(bots)
    (path / ".meltano").mkdir()
    for plugins in ("extractors", "loaders"):
        (path / ".meltano" / plugins).symlink_to(ROOT / ".meltano" / plugins)
    (path / "meltano.yml").write_text((ROOT / "meltano.yml").read_text())
    return Folder(path, url, variables)
