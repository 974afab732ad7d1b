"""Over which way the tap talks to the API, and with whom."""

from __future__ import annotations

import gzip
import re
import socket
import ssl
import threading
from contextlib import closing, suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
import requests
import trustme
from singer_sdk.exceptions import FatalAPIError, SingerSDKError
from werkzeug import Response

from sandbox.server import Behaviour, Sandbox
from tap_deepconverse.api.errors import PageTooLargeError, describe, is_transient
from tap_deepconverse.api.retry import RetryPolicy
from tap_deepconverse.api.session import Sessions
from tap_deepconverse.client import ExportStream
from tests.proxy import proxy
from tests.support import command, config_for, one_window, sync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_httpserver import HTTPServer
    from werkzeug import Request

    from sandbox.archive import Archive
    from tests.conftest import Serve, WriteJson

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
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def secure(archive: Archive, authority: trustme.CA) -> Iterator[tuple[Sandbox, str]]:
    """A sandbox that is served by https."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    sandbox = Sandbox(archive, Behaviour(requests_per_second=0))
    with sandbox.running(ssl_context=context) as url:
        yield sandbox, url


@pytest.mark.parametrize("variable", BUNDLES)
def test_certificates_of_a_network_s_own_are_trusted_as_requests_does(
    secure: tuple[Sandbox, str], bundle: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    sandbox, url = secure
    monkeypatch.setenv(variable, str(bundle))
    output = sync(config_for(url))
    assert output.newest("conversations").keys() == sandbox.archive.conversations["bot"].keys()


def test_a_certificate_that_is_not_trusted_ends_it_at_once(
    secure: tuple[Sandbox, str], caplog: pytest.LogCaptureFixture
) -> None:
    sandbox, url = secure
    with pytest.raises(
        FatalAPIError, match=r"is not valid here \(.*certificate.*\); check `api_url`, .* REQUESTS_CA_BUNDLE\.$"
    ):
        sync(config_for(url))
    assert sandbox.requests == []
    assert "retrying in" not in caplog.text


def test_a_host_that_does_not_speak_tls_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            client, _ = server.accept()
            with client, suppress(ConnectionResetError):
                client.recv(65536)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                client.recv(65536)  # a connection that is closed too early is reset

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(requests.exceptions.SSLError) as error:
            asked(f"https://127.0.0.1:{server.getsockname()[1]}/")
    assert re.search(r"TLS connection to the API's host failed \([A-Z_]+\); check `api_url`$", describe(error.value))
    assert not is_transient(error.value)


def test_a_certificate_for_another_name_is_not_trusted(
    archive: Archive, authority: trustme.CA, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.example.com").configure_cert(context)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    sandbox = Sandbox(archive)
    with sandbox.running(ssl_context=context) as url, pytest.raises(FatalAPIError, match="is not valid here"):
        sync(config_for(url))
    assert sandbox.requests == []


@pytest.mark.parametrize("text", [None, "", "no certificate"])
def test_a_bundle_that_holds_no_certificates_is_an_error_that_names_it(
    secure: tuple[Sandbox, str], tmp_path: Path, write_json: WriteJson, monkeypatch: pytest.MonkeyPatch, text: Any
) -> None:
    path = tmp_path / "bundle.pem"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    done = command("--config", write_json(config_for(secure[1])))
    assert done.status == 1
    assert done.log.splitlines()[-1].endswith("must name a file of CA certificates in PEM format.")
    assert str(path) in done.log.splitlines()[-1]
    assert "Traceback" not in done.log


def test_a_proxy_that_the_environment_names_is_used_and_sees_no_key(
    secure: tuple[Sandbox, str], bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox, url = secure
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with proxy() as (seen, proxy_url):
        monkeypatch.setenv("HTTPS_PROXY", proxy_url)
        output = sync(config_for(url, concurrency=3))
    assert output.newest("messages").keys() == sandbox.archive.messages["bot"].keys()
    assert set(seen.targets) == {url.removeprefix("https://")}
    assert b"x-api-key" not in seen.sent.lower()
    assert b"sandbox-key" not in seen.sent


def test_a_host_that_the_environment_excepts_is_asked_without_the_proxy(
    secure: tuple[Sandbox, str], bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with proxy() as (seen, proxy_url):
        monkeypatch.setenv("HTTPS_PROXY", proxy_url)
        sync(config_for(secure[1]))
    assert seen.targets == []


def test_a_proxy_that_is_not_there_is_named_in_the_error(
    secure: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExportStream, "retry_policy", RetryPolicy(total=0))
    monkeypatch.setenv("HTTPS_PROXY", "http://user:S3CRET@127.0.0.1:1")
    with pytest.raises(
        FatalAPIError, match=r"no connection through the proxy .*; check HTTPS_PROXY and NO_PROXY"
    ) as no:
        sync(config_for(secure[1]))
    assert "S3CRET" not in str(no.value)


def test_what_is_no_proxy_ends_it_at_once(secure: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://[")
    with pytest.raises(SingerSDKError, match="check HTTPS_PROXY and NO_PROXY"):
        sync(config_for(secure[1]))


def test_a_socks_proxy_without_its_package_is_said(
    secure: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://user:S3CRET@127.0.0.1:1")
    with pytest.raises(SingerSDKError, match="names a SOCKS proxy, but the Python package PySocks is missing"):
        sync(config_for(secure[1]))


def test_what_is_sent_in_the_clear_does_not_leave_the_machine_by_a_proxy(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, url = serve()
    with proxy() as (seen, proxy_url):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy_url)
        assert sync(config_for(url)).records("conversations")
    assert (seen.targets, seen.sent) == ([], b"")


def asked(url: str, sessions: Sessions | None = None, timeout: float = 60) -> requests.Response:
    """The answer to one request."""
    with closing(sessions or Sessions(url)) as made:
        session = made.new()
        return session.send(session.prepare_request(requests.Request("GET", url)), timeout=timeout)


def test_an_answer_that_comes_in_drops_is_not_waited_for_without_end(httpserver: HTTPServer) -> None:
    """Each piece takes an hour, by the clock that the session has."""
    hours = count(0, 3_600)
    httpserver.expect_request("/").respond_with_handler(lambda _: Response([" "] * 50))
    url = httpserver.url_for("/")
    with pytest.raises(requests.ReadTimeout):
        asked(url, Sessions(url, lambda: next(hours)))


def test_an_answer_that_is_larger_than_any_page_is_not_taken_into_memory(httpserver: HTTPServer) -> None:
    """Three hundred megabytes of blanks come compressed, as 300 kB."""
    bomb = gzip.compress(b" " * 300_000_000)
    httpserver.expect_request("/").respond_with_data(bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(PageTooLargeError, match="the response is larger than 256 MB"):
        asked(httpserver.url_for("/"))


def test_a_timeout_of_any_length_is_taken(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data("yes")
    assert asked(httpserver.url_for("/"), timeout=10**12).text == "yes"


def test_sessions_share_connections_and_not_cookies(httpserver: HTTPServer) -> None:
    cookies = []

    def answer(request: Request) -> Response:
        cookies.append(request.cookies.get("server"))
        return Response("", headers={"Set-Cookie": f"server={len(cookies)}"})

    httpserver.expect_request("/").respond_with_handler(answer)
    url = httpserver.url_for("/")
    with closing(Sessions(url)) as sessions:
        for session in (sessions.new(), sessions.new()):
            for _ in range(2):
                session.send(session.prepare_request(requests.Request("GET", url)), timeout=60)
    assert cookies == [None, "1", None, "3"]
    assert sessions.new().get_adapter(url) is sessions.new().get_adapter(url)


@pytest.mark.parametrize("status", [407, 403])
def test_a_proxy_that_refuses_ends_it_at_once_with_its_status(
    secure: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with proxy(refuses_with=status) as (seen, proxy_url):
        monkeypatch.setenv("HTTPS_PROXY", proxy_url.replace("//", "//user:S3CRET@"))
        with pytest.raises(FatalAPIError, match=rf"the proxy .* refuses the request \(HTTP {status}\); check") as no:
            sync(config_for(secure[1], concurrency=1))
    assert len(seen.targets) <= 2  # one for each stream
    assert "S3CRET" not in str(no.value)


def test_what_netrc_knows_of_the_host_is_not_sent_in_the_clear(
    httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password S3CRET\n")
    monkeypatch.setenv("NETRC", str(netrc))
    httpserver.expect_request("/conversations/export/v1/conversations").respond_with_json({"data": []})
    httpserver.expect_request("/conversations/export/v1/messages").respond_with_json({"data": []})
    sync(one_window(httpserver.url_for("")))
    assert all("Authorization" not in request.headers for request, _ in httpserver.log)
