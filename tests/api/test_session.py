"""Over which way the tap talks to the API, and with whom."""

import gzip
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest
import requests
import trustme
from pytest_httpserver import HTTPServer
from werkzeug import Response

from sandbox.contract import CURSOR, DATA
from tap_deepconverse.api.errors import PageTooLargeError, describe, is_transient
from tap_deepconverse.api.session import Sessions
from tests.proxy import proxy
from tests.support import one_window, sync

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, *map(str.lower, PROXIES), *BUNDLES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority that nobody but these tests trusts."""
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with its certificate, which the environment names."""
    path = tmp_path / "bundle.pem"
    authority.cert_pem.write_to_path(path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    return path


@contextmanager
def secure(authority: trustme.CA, name: str = "127.0.0.1") -> Iterator[HTTPServer]:
    """A server that answers by https, with a certificate for a name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    with HTTPServer("127.0.0.1", ssl_context=context) as server:
        server.expect_request("/", headers={"x-api-key": "S3CRET"}).respond_with_data("yes")
        yield server


def asked(url: str, timeout: float = 60) -> requests.Response:
    """The answer to one request, which has a key."""
    with closing(Sessions(url)) as sessions:
        session = sessions.new()
        request = requests.Request("GET", url, {"x-api-key": "S3CRET"})
        return session.send(session.prepare_request(request), timeout=timeout)


def failure(url: str, error: type[Exception], *, passes: bool = False, timeout: float = 60) -> str:
    """What is said of a request that fails."""
    with pytest.raises(error) as raised:
        asked(url, timeout)
    clause = describe(raised.value)
    assert "S3CRET" not in clause
    assert is_transient(raised.value) is passes
    return clause


@pytest.mark.usefixtures("bundle")
def test_a_request_says_who_sends_it_and_takes_nothing_from_netrc(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login anna password s3cret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with secure(authority) as server:
        server.expect_request(re.compile(".*")).respond_with_json({DATA: [], CURSOR: None})
        sync(one_window(server.url_for("")))
        assert server.log
        for request, _ in server.log:
            assert "Authorization" not in request.headers
            assert request.headers["User-Agent"].startswith("tap-deepconverse/")


@pytest.mark.parametrize("variable", BUNDLES)
def test_certificates_of_a_network_s_own_are_trusted_as_requests_does(
    authority: trustme.CA, bundle: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.setenv(variable, str(bundle))
    with secure(authority) as server:
        assert asked(server.url_for("/")).text == "yes"


@pytest.mark.parametrize(("name", "is_trusted"), [("127.0.0.1", False), ("api.example.com", True)])
def test_a_certificate_that_is_not_trusted_or_for_another_name_ends_it_at_once(
    authority: trustme.CA, bundle: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, is_trusted: bool
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle) if is_trusted else "")
    with secure(authority, name) as server:
        said = failure(server.url_for("/"), requests.exceptions.SSLError)
    assert server.log == []
    assert re.search(r"TLS .* failed \(.*certificate.*\); check `api_url`; REQUESTS_CA_BUNDLE", said)


def test_a_host_that_does_not_speak_tls_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            client, _ = server.accept()
            with client, suppress(ConnectionResetError):
                client.recv(65536)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                client.recv(65536)  # a connection that is closed too early is reset

        threading.Thread(target=answer, daemon=True).start()
        said = failure(f"https://127.0.0.1:{server.getsockname()[1]}/", requests.exceptions.SSLError)
    assert re.search(r"TLS connection to the API's host failed \(.*\); check `api_url`", said)


@pytest.mark.parametrize(("text", "said"), [(None, "bundle.pem"), ("no certificate", "REQUESTS_CA_BUNDLE")])
def test_a_bundle_that_holds_no_certificates_is_an_error_at_once(
    authority: trustme.CA, bundle: Path, text: str | None, said: str
) -> None:
    bundle.unlink()
    if text:
        bundle.write_text(text)
    with secure(authority) as server:
        assert said in failure(server.url_for("/"), OSError)


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize("excepted", ["", "127.0.0.1"])
def test_a_proxy_that_the_environment_names_is_used_unless_excepted_and_sees_no_key(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, excepted: str
) -> None:
    monkeypatch.setenv("NO_PROXY", excepted)
    with secure(authority) as server, proxy() as (seen, proxy_url):
        monkeypatch.setenv("HTTPS_PROXY", proxy_url)
        assert asked(server.url_for("/")).text == "yes"
        assert seen.targets == ([] if excepted else [f"127.0.0.1:{server.port}"])
    assert b"x-api-key" not in seen.sent.lower()
    assert b"S3CRET" not in seen.sent


@pytest.mark.parametrize(
    ("address", "passes", "said"),
    [
        ("http://user:S3CRET@127.0.0.1:1", True, "Connection refused"),
        ("socks5://user:S3CRET@127.0.0.1:1", False, "InvalidSchema"),
        ("http://[", False, "LocationParseError"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_said_without_its_password(
    monkeypatch: pytest.MonkeyPatch, address: str, said: str, *, passes: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)
    clause = failure("https://127.0.0.1:1", requests.RequestException, passes=passes)
    assert clause.startswith(f"the proxy that the environment names failed ({said}); check HTTPS_PROXY and NO_")


@pytest.mark.parametrize("status", [407, 403])
def test_a_proxy_that_refuses_ends_it_at_once_with_its_status(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    with proxy(refuses_with=status) as (_, proxy_url):
        monkeypatch.setenv("HTTPS_PROXY", proxy_url.replace("//", "//user:S3CRET@"))
        said = failure("https://127.0.0.1:1", requests.exceptions.ProxyError)
    assert f"(Tunnel connection failed: {status}); check HTTPS_PROXY" in said


def test_what_is_sent_in_the_clear_does_not_leave_the_machine_by_a_proxy(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/").respond_with_data("yes")
    with proxy() as (seen, proxy_url):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy_url)
        assert asked(httpserver.url_for("/")).text == "yes"
    assert (seen.targets, seen.sent) == ([], b"")


def test_an_answer_that_comes_in_drops_is_not_waited_for_without_end(httpserver: HTTPServer) -> None:
    """Each drop comes in time, but all of them would take a minute."""

    def drops() -> Iterator[str]:
        for _ in range(1_200):
            time.sleep(0.05)
            yield " "

    httpserver.expect_request("/").respond_with_handler(lambda _: Response(drops()))
    failure(httpserver.url_for("/"), requests.ReadTimeout, passes=True, timeout=0.2)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems queue more connections")
def test_an_address_that_swallows_packets_is_not_waited_for_without_end() -> None:
    """A full queue of connections drops the next one."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as queue:
        for _ in range(3):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003
            waiting.connect_ex(server.getsockname())
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        said = failure(url, requests.ConnectTimeout, passes=True, timeout=0.2)
    assert "failed (TimeoutError); check the network" in said


def test_an_answer_that_is_larger_than_any_page_is_not_taken_into_memory(httpserver: HTTPServer) -> None:
    """Three hundred megabytes of blanks come compressed, as 300 kB."""
    bomb = gzip.compress(b" " * 10_000_000) * 30
    httpserver.expect_request("/").respond_with_data(bomb, headers={"Content-Encoding": "gzip"})
    assert failure(httpserver.url_for("/"), PageTooLargeError) == "the response is larger than 256 MB"


def test_sessions_share_connections_and_not_cookies(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data("", headers={"Set-Cookie": "server=1"})
    url = httpserver.url_for("/")
    with closing(Sessions(url)) as sessions:
        for session in (sessions.new(), sessions.new()):
            for _ in range(2):
                session.send(session.prepare_request(requests.Request("GET", url)), timeout=60)
    assert ["server" in request.cookies for request, _ in httpserver.log] == [False, True, False, True]
    assert sessions.new().get_adapter(url) is sessions.new().get_adapter(url)
