"""The connection to the API's host: which proxy, which certificates, and that the key goes nowhere else."""

from __future__ import annotations

import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from singer_sdk.exceptions import ConfigurationError
from typing_extensions import override

from tap_deepconverse.failures import PageTooLargeError

LARGEST_ANSWER = 1 << 28
"""Bytes of an answer, decompressed. The documented 1000 records take a few millions."""

LONGEST_ANSWER = 10
"""How many times as long as it may be silent an answer may take altogether."""

PIECE = 1 << 14
"""Bytes to read at once: of what is compressed a thousand times as many may come of it."""


class UnusableCertificatesError(ConfigurationError):
    """The CA bundle named in the environment cannot be used."""


class Session(requests.Session):
    """A session that follows no redirect, since the key would go along, and reads no answer without end."""

    @override
    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request, and read its answer within bounds.

        `requests` itself only minds how long nothing comes: a body in drops would never end.

        Args:
            request: The request.
            kwargs: Options of `requests`, the timeout in seconds among them.

        Returns:
            The answer, read whole.

        Raises:
            PageTooLargeError: If it is larger than any page.
            ReadTimeout: If it does not come to an end.
        """
        response = super().send(request, **{**kwargs, "stream": True})
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            with suppress(OSError, RuntimeError, ValueError):  # it has just come to its end
                response.raw.shutdown()

        watch = threading.Timer(LONGEST_ANSWER * kwargs["timeout"], end)
        watch.daemon = True
        watch.start()
        pieces, size = [], 0
        try:
            for piece in response.iter_content(PIECE):
                pieces.append(piece)
                size += len(piece)
                if size > LARGEST_ANSWER:
                    msg = f"the answer has more than {LARGEST_ANSWER // (1 << 20)} MB"
                    raise PageTooLargeError(msg)
        except (requests.RequestException, OSError, ValueError):
            if not is_late.is_set():
                raise
        finally:
            watch.cancel()
            response.close()
        if is_late.is_set():
            raise requests.ReadTimeout(request=request)
        response._content = b"".join(pieces)  # noqa: SLF001  where `requests` keeps what has been read
        return response

    @override
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Give no target: `requests` takes apart even one that it does not follow, and fails if it is no URL."""


def new_session(url: str) -> requests.Session:
    """Make a session for one host.

    Proxies (`HTTPS_PROXY`, `NO_PROXY`) and CA bundles (`REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE`) named in
    the environment are used as `requests` does. Certificates are always verified. What is sent in the
    clear, which is allowed on loopback only, goes through no proxy: it would leave the machine.

    Args:
        url: The URL that is going to be asked.

    Returns:
        The session. It is for one thread: `requests` does not promise that it can be shared.

    Raises:
        UnusableCertificatesError: If the CA bundle is not there, or holds no certificates.
    """
    session = Session()
    if urlsplit(url).scheme == "http":
        session.trust_env = False
        return session
    # The SDK sends prepared requests, for which `requests` itself does not look for a CA bundle.
    environment = session.merge_environment_settings(url, {}, None, None, None)
    session.verify = environment["verify"]
    if isinstance(session.verify, str):
        check_certificates(session.verify)
    return session


def check_certificates(path: str) -> None:
    """Make sure that certificates can be read.

    Args:
        path: A file or a folder of CA certificates.

    Raises:
        UnusableCertificatesError: If they can't.
    """
    try:
        if Path(path).is_dir():
            return
        ssl.create_default_context(cafile=path)
    except OSError as error:
        reason = "is not there" if isinstance(error, FileNotFoundError) else "holds no certificates that can be read"
        msg = (
            f"The file {path} {reason}: the environment's REQUESTS_CA_BUNDLE (or CURL_CA_BUNDLE) must name a file of "
            "CA certificates in PEM format."
        )
        raise UnusableCertificatesError(msg) from None
