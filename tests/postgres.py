"""A PostgreSQL server of the tests' own: made, started and stopped by them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = "tests"


def programs() -> Path | None:
    """Where the server's programs are: on the PATH, or where Debian puts them."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None)


@contextmanager
def server() -> Iterator[dict[str, Any]]:
    """Run a server with an empty database; gives the settings to connect to it."""
    bin_ = programs()
    assert bin_ is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # PostgreSQL does not run as root.
    as_user: dict[str, Any] = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if as_user:
        shutil.chown(folder, "nobody", "nogroup")
    data = folder / "data"
    try:
        subprocess.run(  # noqa: S603
            [bin_ / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
            check=True, capture_output=True, cwd=folder, **as_user,
        )  # fmt: skip
        running = subprocess.Popen(  # noqa: S603
            [bin_ / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder, "-F"],
            stderr=subprocess.DEVNULL, cwd=folder, **as_user,
        )  # fmt: skip
        try:
            settings = {"host": "127.0.0.1", "port": port, "user": USER, "password": "none", "database": "postgres"}
            wait_for(settings)
            yield settings
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(30)
    finally:
        shutil.rmtree(folder)


@contextmanager
def connection(settings: dict[str, Any]) -> Iterator[psycopg.Connection]:
    """Connect to it."""
    with psycopg.connect(
        host=settings["host"], port=settings["port"], user=settings["user"], dbname=settings["database"]
    ) as open_connection:
        yield open_connection


def wait_for(settings: dict[str, Any]) -> None:
    """Wait until it answers."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with connection(settings):
                return
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
