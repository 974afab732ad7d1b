import logging
import re

import pytest

from tap_deepconverse.records.warnings import MOST_NAMED, RecordWarnings, field_names, name_of_record


def lines_of(caplog: pytest.LogCaptureFixture, warned: int) -> list[str]:
    warnings = RecordWarnings(logging.getLogger("warnings"), "Bot 'bot', stream 'messages'")
    for number in range(warned):
        warnings.warn("odd times", f"time {number} is odd")
    warnings.warn("odd texts", "a text is odd")
    warnings.sum_up()
    return [record.getMessage() for record in caplog.records]


def test_of_each_kind_the_first_few_are_named_and_all_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    assert not [line for line in lines_of(caplog, MOST_NAMED) if "in all" in line]
    caplog.clear()
    *named, text, total = lines_of(caplog, 1_500)
    assert len(named) == MOST_NAMED
    assert named[0] == "Bot 'bot', stream 'messages': time 0 is odd"
    assert named[-1].endswith(f"time {MOST_NAMED - 1} is odd; further ones are counted but not logged")
    assert text == "Bot 'bot', stream 'messages': a text is odd"
    assert total == "Bot 'bot', stream 'messages': in all, 1,500 odd times"


def test_names_of_fields_are_repeated_and_nothing_else_that_stands_in_their_place() -> None:
    assert field_names({"rating"}) == "rating"
    assert field_names({"rating", "Anna Smith", "anna@example.com", "+49 170"}) == "rating and 3 more"
    assert field_names({"Anna Smith"}) == "1 more"
    many = field_names({f"field{number}" for number in range(100_000)})
    assert re.fullmatch(r"(field\d+, ){9}field\d+ and 99,990 more", many)


def test_a_record_is_named_by_an_id_of_the_documented_kind_only() -> None:
    assert name_of_record("0123456789abcdef0123456789abcdef") == (
        "the record with _id '0123456789abcdef0123456789abcdef'"
    )
    assert "'67fec1a900112233445566aa'" in name_of_record("67fec1a900112233445566aa")
    assert "-44ff-" in name_of_record("0B9E1C5A-0c2e-44ff-9a51-0123456789ab")
    for identity in ("anna@example.com", 7, None, "0123456789ABCDEF0123456789ABCDEF", "a\nb"):
        assert name_of_record(identity) == "a record"
