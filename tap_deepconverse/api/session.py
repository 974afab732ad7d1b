"""The HTTP session: proxy, certificates, limits on a response, and no redirects, so that the key goes nowhere else."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from singer_sdk.exceptions import ConfigurationError
from typing_extensions import override
from urllib3.exceptions import DecodeError, HTTPError, ReadTimeoutError

from tap_deepconverse.api.errors import PageTooLargeError
from tap_deepconverse.api.sentences import NO_CERTIFICATES, TOO_MUCH

LARGEST_ANSWER = 1 << 28  # bytes, decompressed; the documented 1000 records take a few million
LONGEST_ANSWER = 10  # times the timeout, for the whole response
PIECE = 1 << 14  # bytes to read at once; they may decompress to a thousand times as many


class UnusableCertificatesError(ConfigurationError):
    """The CA bundle named in the environment cannot be used."""


class Session(requests.Session):
    """A session that limits each response and follows no redirect: `requests` would send the key along."""

    @override
    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request and read the whole response within limits of size and time.

        The timeout of `requests` covers only the gaps between bytes: a body that trickles in would never end.

        Raises:
            PageTooLargeError: If the response is larger than any page.
            ReadTimeout: If it takes too long.
        """
        response = super().send(request, **{**kwargs, "stream": True})
        deadline = time.monotonic() + LONGEST_ANSWER * kwargs["timeout"]
        content = bytearray()
        try:
            # Not `iter_content`: it waits for a full piece.
            while piece := response.raw.read1(PIECE, decode_content=True):
                content += piece
                if len(content) > LARGEST_ANSWER:
                    raise PageTooLargeError(TOO_MUCH(megabytes=LARGEST_ANSWER // (1 << 20)))
                if time.monotonic() > deadline:
                    raise requests.ReadTimeout(request=request)
        except ReadTimeoutError as error:
            raise requests.ReadTimeout(error, request=request) from error
        except DecodeError as error:
            raise requests.exceptions.ContentDecodingError(error, request=request) from error
        except HTTPError as error:
            raise requests.exceptions.ChunkedEncodingError(error, request=request) from error
        finally:
            response.close()
        response._content = bytes(content)  # noqa: SLF001  where `requests` keeps what has been read
        return response

    @override
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: `requests` parses even a target that it does not follow, and fails if it is not a URL."""


def new_session(url: str) -> requests.Session:
    """Return a session for one host and one thread: `requests` does not promise that threads can share it.

    As in `requests`, the environment names proxies (`HTTPS_PROXY`, `NO_PROXY`) and the CA bundle (`REQUESTS_CA_BUNDLE`,
    `CURL_CA_BUNDLE`). Certificates are always verified. Plain HTTP is allowed on loopback only, so it bypasses the
    proxy: otherwise the request would leave the machine.

    Raises:
        UnusableCertificatesError: If the CA bundle does not exist or holds no certificates.
    """
    session = Session()
    if urlsplit(url).scheme == "http":
        session.trust_env = False
        return session
    # The SDK sends prepared requests, for which `requests` does not look for a CA bundle.
    session.verify = session.merge_environment_settings(url, {}, None, None, None)["verify"]
    if isinstance(session.verify, str):
        check_certificates(session.verify)
    return session


def check_certificates(path: str) -> None:
    """Raise UnusableCertificatesError unless `path` is a folder or a file of CA certificates."""
    try:
        if not Path(path).is_dir():
            ssl.create_default_context(cafile=path)
    except OSError as error:
        reason = "is not there" if isinstance(error, FileNotFoundError) else "holds no certificates that can be read"
        raise UnusableCertificatesError(NO_CERTIFICATES(path=path, reason=reason)) from None
