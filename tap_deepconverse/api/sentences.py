"""The sentences that say why a run fails, in one place: `docs/errors.md` lists them.

The modules that check settings and states have their own sentences. An error of one bot gets the bot and the stream
in front, and a full stop at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

STATUS_PAGE = "https://deepconverse.statuspage.io"
GOES_ON = "the next run goes on from the last checkpoint"


@dataclass(frozen=True, slots=True)
class Sentence:
    """An error message with placeholders.

    Attributes:
        when: The case it describes.
    """

    text: str
    when: str

    def __call__(self, **values: object) -> str:
        """Return the text with the placeholders filled in."""
        return self.text.format(**values)


# --- The API refuses ---

KEY_REFUSED = Sentence(
    "the API refuses the key ({said}); check `api_key`, and that your plan includes exports",
    "HTTP 401, or 403 that is not HTML",
)
FIREWALL_REFUSES = Sentence(
    "the firewall in front of the API refuses the request ({said}), before the key is checked; check the network that "
    "the tap runs in, and ask DeepConverse to let its address through",
    "HTTP 403 with a page of HTML",
)
REQUEST_REFUSED = Sentence("the API does not accept the request ({said}); check {what}", "any other HTTP 4xx")
CURSOR_REJECTED = Sentence(
    "the API rejected the pagination cursor, which may have expired ({said})", "HTTP 4xx for a request with a cursor"
)
PAGE_TOO_LARGE = Sentence("the page is too large for the API ({said})", "HTTP 413")
MUST_WAIT = Sentence(
    f"the API asks to wait {{wait}} ({{said}}), perhaps because a quota is used up; {GOES_ON}",
    "`Retry-After` of more than five minutes",
)
UNKNOWN_STATUS = Sentence(
    "the API returned an unexpected status (HTTP {status}); check `api_url`", "HTTP 201 to 399, not a redirect"
)
REDIRECTED = Sentence(
    "the API redirects to {target}, but the key is sent to `api_url` only; check `api_url`", "a redirect"
)

# --- Transient errors, which are retried ---

RATE_LIMITED = Sentence("rate limited ({said}){by}", "HTTP 429")
TEMPORARY = Sentence("the API returned a temporary error ({said}){by}", "HTTP 408, 425 or 5xx")
BY_FIREWALL = Sentence(", from the firewall in front of the API", "HTTP 429 or 5xx with a page of HTML")
RETRIES_OVER = Sentence(
    "{said}, in {window}{see}; failed after {tries} tries in {elapsed}; " + GOES_ON, "the retries are over"
)
SEE_STATUS_PAGE = Sentence(f"; see {STATUS_PAGE}", "the retries of HTTP 5xx are over")
SMALL_PAGE_COMES = Sentence("{said}, repeatedly, although a page of one record works", "only large pages fail")
TOO_MUCH = Sentence("the response is larger than {megabytes} MB", "a response that is larger than any page")
NO_ANSWER = Sentence(
    "no response from the API in time; if it is only slow, raise `request_timeout`", "a timeout of the connection"
)
NO_HOST = Sentence("the name of the API's host cannot be resolved; check the network and `api_url`", "DNS")
REFUSED_CONNECTION = Sentence(
    "the API's host refuses the connection; check the network and `api_url`", "nothing listens on the host's port"
)
NO_CONNECTION = Sentence(
    "no connection to the API ({error}); check the network and `api_url`", "any other error of the connection"
)
NOT_DECOMPRESSED = Sentence("the response cannot be decompressed", "a corrupt response")
CUT_SHORT = Sentence("the response was cut short", "the connection ends within a response")
CLOSED = Sentence("the connection was closed without a response", "the API's host closes the connection")
RESET = Sentence("the connection was reset", "the API's host, or something in between, resets the connection")

# --- The way to the API ---

NO_PROXY = Sentence(
    "no connection through the proxy that the environment names; check HTTPS_PROXY and NO_PROXY", "the proxy fails"
)
NO_PROXY_URL = Sentence(
    "the proxy that the environment names is not a valid URL; check HTTPS_PROXY and NO_PROXY",
    "HTTPS_PROXY (or ALL_PROXY) is not a URL",
)
NO_SOCKS = Sentence(
    "the environment names a SOCKS proxy, but the Python package PySocks is missing; install it beside the tap "
    "(pip install pysocks), or check HTTPS_PROXY, ALL_PROXY and NO_PROXY",
    "HTTPS_PROXY (or ALL_PROXY) begins with socks",
)
CERTIFICATE = Sentence(
    "the certificate of the API's host is not valid here ({reason}); check `api_url`, and if your network has "
    "certificates of its own, name their file in REQUESTS_CA_BUNDLE",
    "a certificate that is not trusted",
)
NO_TLS = Sentence(
    "the TLS connection to the API's host failed ({reason}); check `api_url`", "the port is not one for https"
)
NO_CERTIFICATES = Sentence(
    "The file {path} {reason}: the environment's REQUESTS_CA_BUNDLE (or CURL_CA_BUNDLE) must name a file of CA "
    "certificates in PEM format.",
    "REQUESTS_CA_BUNDLE names no such file",
)

# --- This machine, and what the tap is given ---

LOCAL = Sentence("{reason}: {file}.", "the system refuses to open, read or write a file")
LOCAL_WITHOUT_NAME = Sentence("{reason}.", "the system refuses something else")
NO_FILE_NAME = Sentence("not a valid file path", "text with a brace where a file's name should be: it may be settings")
UNREADABLE_FILE = Sentence("The file given as `{option}` {what}", "a file that holds no JSON object")
STDOUT_CLOSED = Sentence(
    "Standard output is closed: the tap writes its messages there, for a target or a file.", "`>&-`"
)
STDOUT_FAILS = Sentence(
    f"Standard output cannot be written: {{reason}}. {GOES_ON.capitalize()}.", "a full disk, for example"
)
TARGET_GONE = Sentence(
    f"The target has stopped reading: see its log. {GOES_ON.capitalize()}.", "the pipe to the target breaks"
)
LOG_LEVEL = Sentence(
    "TAP_DEEPCONVERSE_LOGLEVEL (or LOGLEVEL) in the environment must be DEBUG, INFO, WARNING or ERROR.",
    "an unknown log level",
)
LOG_CONFIG = Sentence(
    "SINGER_SDK_LOG_CONFIG in the environment must name a YAML or JSON file for Python's "
    "`logging.config.dictConfig`: {path} cannot be used ({reason}).",
    "a logging configuration that cannot be used",
)
DOTENV = Sentence("The file .env, from which `--config ENV` takes settings, is not UTF-8 text.", "a `.env` in Latin-1")
CATALOG = Sentence(
    "The catalog {what}; give `--catalog` the output of `tap-deepconverse --discover`, or leave the option out.",
    "a catalog that `--discover` did not write",
)
BATCH = Sentence(
    '`batch_config` {what}; an example is {{"encoding": {{"format": "jsonl", "compression": "gzip"}}, "storage": '
    '{{"root": "file:///data/batches"}}}}.',
    "`batch_config` is incomplete, or its storage or format needs a package that is missing",
)
UNKNOWN_SETTING = Sentence(
    "`{name}` is not a setting of this tap, and is ignored{nearest}", "a warning: a misspelt setting"
)
UNKNOWN_STREAMS = Sentence(
    "The catalog names {names}, which this tap does not have and ignores.", "a warning: a misspelt stream"
)
NOTHING_SELECTED = Sentence(
    "No stream is selected in the catalog, so nothing is read.", "a warning: a catalog that selects nothing"
)
BUG = Sentence("Unexpected {error}. Please report this bug with the lines above.", "a bug of the tap")

SENTENCES = {name: value for name, value in list(globals().items()) if isinstance(value, Sentence)}
"""All of them by name, for the list."""
