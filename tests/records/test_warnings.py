import logging
import re

import pytest

from tap_deepconverse.records.warnings import MOST_NAMED, RecordWarnings, field_names, name_of_record


@pytest.mark.parametrize(("warned", "sums"), [(MOST_NAMED, []), (1_500, ["in all, 1,500 odd times"])])
def test_of_each_kind_the_first_few_are_named_and_all_are_counted(
    caplog: pytest.LogCaptureFixture, warned: int, sums: list[str]
) -> None:
    warnings = RecordWarnings(logging.getLogger("warnings"), "Bot 'bot'")
    for number in range(warned):
        warnings.warn("odd times", f"time {number} is odd")
    warnings.warn("odd texts", "a text is odd")
    warnings.sum_up()
    named = [f"time {number} is odd" for number in range(MOST_NAMED)]
    named[-1] += "; further ones are counted but not logged"
    assert caplog.messages == [f"Bot 'bot': {line}" for line in (*named, "a text is odd", *sums)]


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
