"""Run the fuzzer: `python -m fuzz pages -max_total_time=60`."""

import json
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tap_deepconverse", "fuzz", "json"]):
    from fuzz.readers import read_page, read_time

PAGES = [
    b'{"data": [{"_id": "a", "startTime": 1744750665, "tags": ["x"], "metadata": {"a": {"b": 1.5}}}], "cursor": "c"}',
    b'{"data": [], "cursor": null}',
    b'\xef\xbb\xbf{"data": [{"_id": "\\ud83d", "a": NaN, "a": -Infinity}]}',
    b'{"message": "Forbidden"}',
    b'{"data": [{"_id": 1, "a": [[[[{}]]]], "b": 1e999, "c": "\x00\x1f\xff"}, 7]}',
]
TIMES = [b"1744750665", b"1744750665.5", b"2025-04-15T22:57:45.5+02:00", b"20250415T205745Z", b"2024-02-29"]

DICTIONARY = ['\\"data\\"', '\\"_id\\"', '\\"cursor\\"', "\\\\u", "NaN", "Infinity", "null"]


def pages(data: bytes) -> None:
    """Read any bytes as a page."""
    read_page(data)


def times(data: bytes) -> None:
    """Read any bytes as a time: as text, and as a number or whatever else JSON makes of it."""
    text = data.decode("utf-8", "replace")
    read_time(text)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    read_time(value)


def main() -> None:
    """Fuzz `pages` or `times` until an error that explains nothing is found, or time is over."""
    what, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(PAGES if what == "pages" else TIMES):
            (corpus / str(number)).write_bytes(seed)
        words = Path(folder) / "words"
        words.write_text("".join(f'"{word}"\n' for word in DICTIONARY))
        atheris.Setup([sys.argv[0], *options, f"-dict={words}", str(corpus)], pages if what == "pages" else times)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
