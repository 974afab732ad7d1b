"""A proxy for https on loopback, that keeps what it sees."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler


class Seen:
    """What has come by."""

    def __init__(self) -> None:
        self.targets: list[str] = []
        self.sent = b""


@contextmanager
def proxy(refuses_with: int = 0) -> Iterator[tuple[Seen, str]]:
    """Run a proxy, or one that refuses to connect with a status; gives what it has seen, and its URL."""
    seen = Seen()

    class Handler(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            super().handle_one_request()
            self.close_connection = True

        def do_CONNECT(self) -> None:
            seen.targets.append(self.path)
            seen.sent += f"{self.requestline}\n{self.headers}".encode()
            if refuses_with:
                self.send_error(refuses_with)
                return
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port))) as there:
                self.send_response(200)
                self.end_headers()
                back = threading.Thread(target=pass_on, args=(there, self.connection))
                back.start()
                seen.sent += pass_on(self.connection, there)
                back.join()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield seen, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def pass_on(source: socket.socket, drain: socket.socket) -> bytes:
    """Pass on whatever comes until there is no more; gives what it was."""
    passed = b""
    try:
        while data := source.recv(65536):
            passed += data
            drain.sendall(data)
        drain.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    return passed
