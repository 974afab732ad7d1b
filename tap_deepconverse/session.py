"""The connection to the API's host: which proxy, which certificates, and that the key goes nowhere else."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit

import requests
from singer_sdk.exceptions import ConfigurationError
from typing_extensions import override


class UnusableCertificatesError(ConfigurationError):
    """The CA bundle named in the environment cannot be used."""


class Session(requests.Session):
    """A session that follows no redirect: the key would go along to wherever it points."""

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
