"""HTTP sessions: proxy, certificates, limits on a response, and no redirects."""

import os
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from typing_extensions import override
from urllib3.exceptions import HTTPError, ReadTimeoutError

from tap_deepconverse.api.errors import PageTooLargeError

MOST_CONNECTIONS = 32  # of one host that are kept open: as many as the largest `concurrency`
LARGEST_ANSWER = 1 << 28  # bytes, decompressed; the documented 1000 records take a few million
LONGEST_ANSWER = 10  # times the timeout, for the whole response
LONGEST_CONNECT = 15  # seconds for each address of the host; a lost packet is sent again four times
PIECE = 1 << 14  # bytes to read at once; they may decompress to a thousand times as many


class Session(requests.Session):
    """A session that limits each response and follows no redirect: `requests` would send the key along."""

    @override
    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        # The timeout of `requests` covers only the gaps between bytes: a body that trickles in would never end.
        seconds = kwargs["timeout"]
        kwargs |= {"stream": True, "timeout": (min(seconds, LONGEST_CONNECT), seconds)}
        response = super().send(request, **kwargs)
        deadline = time.monotonic() + LONGEST_ANSWER * seconds
        content = bytearray()
        try:
            # Not `iter_content`: it waits for a full piece.
            while piece := response.raw.read1(PIECE, decode_content=True):
                content += piece
                if len(content) > LARGEST_ANSWER:
                    msg = f"the response is larger than {LARGEST_ANSWER // (1 << 20)} MB"
                    raise PageTooLargeError(msg)
                if time.monotonic() > deadline:
                    raise requests.ReadTimeout(request=request)
        except ReadTimeoutError as error:
            raise requests.ReadTimeout(error, request=request) from error
        except HTTPError as error:
            raise requests.exceptions.ChunkedEncodingError(error, request=request) from error
        finally:
            response.close()
        response._content = bytes(content)  # noqa: SLF001  where `requests` keeps what has been read
        return response

    @override
    def get_redirect_target(self, resp: requests.Response) -> None:
        pass  # `requests` parses even a target that it does not follow, and fails if it is not a URL


class Sessions:
    """Makes sessions for one host that share its connections. Each keeps its own cookies, and is for one thread."""

    def __init__(self, url: str) -> None:
        self._adapter = HTTPAdapter(pool_maxsize=MOST_CONNECTIONS)
        self._is_plain = url.startswith("http:")

    def new(self) -> requests.Session:
        """Return a session: one for each window, whose pages may belong to a cookie."""
        session = Session()
        session.trust_env = not self._is_plain  # plain HTTP is for loopback, and must not leave the machine by a proxy
        # `requests` does not look for a CA bundle where a request is prepared.
        session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        session.mount("https://", self._adapter)
        session.mount("http://", self._adapter)
        return session

    def close(self) -> None:
        """Close the connections that no request uses."""
        self._adapter.close()
