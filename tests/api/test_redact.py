import html
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_deepconverse.api.redact import LONGEST_QUOTE, is_of_firewall, own_words
from tests.support import response_of

KEY = "S3CRET+/=&key"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"Message": "no such bot"}', "no such bot"),
        ('{"error": {"code": 7, "Message": "no such bot"}}', "no such bot"),
        ('{"errors": [{"detail": "no such bot", "title": "Not Found"}]}', "no such bot"),
        ('{"errors": {"message": ["no such bot"]}}', "no such bot"),
        ('{"detail": [{"loc": ["query"], "msg": "no such bot"}]}', "no such bot"),
        ('{"message": null, "error": "no such bot"}', "no such bot"),
        ('{"error": "Bad Request", "message": "no such bot"}', "no such bot"),
        ("<html><head><TITLE lang='en'>no such\nbot</TITLE></head><body>secret</body></html>", "no such bot"),
        ('{"message": "Forbidden", "data": [{"text": "secret"}]}', "Forbidden"),
        ('{"message": "a\\n  b\\u001b[31m\\u2028c"}', "a b[31m c"),
        (f'{{"message": "No {KEY} here"}}', "No *** here"),
        (f'{{"message": "No {quote(KEY, safe="")} here"}}', "No *** here"),
        ('{"errors": [{"message": "No S3CRET+"}, 7, {"detail": "too\\nlong"}]}', "No *** too long"),
        (f"No {html.escape(KEY)} here", "No *** here"),
        (f"No {KEY.replace('&', chr(92) + 'u0026')} here", "No *** here"),
        (f"No {KEY[:4]}\u200b{KEY[4:]} here", "No *** here"),
        ("  Größe\t…\n😀 ", "Größe … 😀"),
        ('upstream said {"text": "secret"}', "upstream said"),
        ('{"reason": "secret"}', "Bad Gateway"),
        ('{"message": {"text": "secret"}}', "Bad Gateway"),
        ('{"data": {"message": "secret"}}', "Bad Gateway"),
        (b'{"error":' * 100_000 + b'"secret"' + b"}" * 100_000, "Bad Gateway"),
        ('"secret"', "Bad Gateway"),
        (b"a\xff\xfe", "a\ufffd\ufffd"),
        (b"", "Bad Gateway"),
        (b'{"message": "secret", "a": "' + b"a" * 1_000_000 + b'"}', "Bad Gateway"),
        ("word " * 1_000, "word " * 39 + "word…"),
    ],
)
def test_of_an_error_its_message_in_any_form_is_repeated_and_nothing_that_may_be_a_record(body: Any, said: str) -> None:
    assert own_words(response_of(502, body), KEY) == said


@pytest.mark.parametrize("body", ["<html>", "\r\n<!DOCTYPE html>\n<html lang='en'>", "error code: 1020"])
def test_what_a_firewall_answers_is_told_from_what_the_api_does(body: str) -> None:
    assert is_of_firewall(response_of(502, body))
    assert not is_of_firewall(response_of(502, json.dumps({"message": body})))


def test_what_is_no_error_is_not_repeated_unless_it_says_message() -> None:
    assert own_words(response_of(200, "secret", "OK"), KEY) == "OK"
    assert own_words(response_of(200, '{"detail": "secret", "title": "secret", "msg": "secret"}', "OK"), KEY) == "OK"
    assert own_words(response_of(200, '{"message": "Limit Exceeded"}', "OK"), KEY) == "Limit Exceeded"


@given(st.text(), st.text(), st.text("abcdefghijklmnopqrstuvwxyz0123456789-_+/=&<>'\"\\%", min_size=8))
def test_whatever_is_said_is_a_line_without_the_key(before: str, after: str, key: str) -> None:
    for body in (before + key + after, json.dumps({"message": before + key + after}), before + quote(key) + after):
        line = own_words(response_of(502, body.encode("utf-8", "replace")), key)
        assert key not in line
        assert len(line) <= LONGEST_QUOTE
        assert "".join(line.split("\n")) == line
        assert line.isprintable()
