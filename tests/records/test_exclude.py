import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_deepconverse.records.exclude import Exclusion, bad_names

USER = {"__sys_userIp": "1.2.3.4", "__sys_userAgent": "Mozilla", "origin": "web"}
COLUMNS = {"conversations": ["_id", "metadata", "tags", "additional_fields"], "messages": ["_id", "userInput"]}


def without(value: Any, names: list[str]) -> Any:
    """What is left of a conversation's metadata."""
    record = {"_id": "a", "metadata": value}
    return Exclusion(names, COLUMNS).apply(record, COLUMNS["conversations"], [])["metadata"]


@pytest.mark.parametrize(
    ("names", "value", "rest"),
    [
        (["__sys_userIp"], USER, {"__sys_userAgent": "Mozilla", "origin": "web"}),
        (["__sys_user*"], USER, {"origin": "web"}),
        (["sys_userIp", "__sys_user", "userInput"], USER, USER),
        ([" __SYS_userip ", "__SYS_USERA*"], USER, {"origin": "web"}),
        (["metadata.__sys_user*", "$.metadata.ORIGIN"], USER, {}),
        (["conversations.metadata.origin", "Conversations.__sys_user*"], USER, {}),
        (["messages.count"], {"messages": {"count": 1}, "count": 2}, {"messages": {}}),
        (["a"], {"b": {"a": 1}}, {"b": {"a": 1}}),
        (["m.email"], {"m": {"email": "x", "plan": "pro"}, "email": "y"}, {"m": {"plan": "pro"}, "email": "y"}),
        (["m.email"], {"m.email": "x", "m": {"email": "y"}}, {"m": {}}),
        (["a.b.c"], {"a.b": {"c": 1, "d": 2}, "a": {"b.c": 1, "b": {"c": 1}}}, {"a.b": {"d": 2}, "a": {"b": {}}}),
        (["m.e*"], {"m": [{"email": "x"}, [{"e": 1, "f": 2}], 7, None]}, {"m": [{}, [{"f": 2}], 7, None]}),
        (["m*"], {"m": {"x": 1}, "m.x": 3, "n": 2}, {"n": 2}),
        (["m.email"], {"m": '{"email": "x"}', "n": "text"}, {"m": None, "n": "text"}),
        (["m.email"], {"m": ["text", 7]}, {"m": [None, 7]}),
        (["a"], [{"a": 1, "b": 2}, [{"a": 1}]], [{"b": 2}, [{}]]),
        (
            ["contact.émail"],
            {"contact ": {"e\u0301mail": 1, "b": 2}, "contact": {"émail": 1}},
            {"contact ": {"b": 2}, "contact": {}},
        ),
        (["a"], "text", None),
        (["a"], None, None),
        (["a."], {"a": {"": 1, "b": 2}}, {"a": {"b": 2}}),
    ],
)
def test_what_is_named_is_left_out(names: list[str], value: Any, rest: Any) -> None:
    before = json.dumps(value)
    assert without(value, names) == rest
    assert json.dumps(value) == before


keys = st.text("ab.", max_size=3)
values = st.recursive(
    st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=10,
)


def names_in(value: Any) -> set[str]:
    """List each path of keys."""
    if isinstance(value, list):
        return {name for item in value for name in names_in(item)}
    if not isinstance(value, dict):
        return set()
    return {*value, *(f"{key}.{name}" for key, inner in value.items() for name in names_in(inner))}


@given(st.dictionaries(keys, values, max_size=4), keys)
def test_a_name_is_gone_and_all_others_stay(value: Any, name: str) -> None:
    rest = without(value, [name])
    assert name not in names_in(rest)
    assert rest.keys() == value.keys() - {name}
    if name not in names_in(value):
        assert rest == value


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (" ", "a name needs text"),
        ("$.conversations.metadata.", "a name needs text"),
        ("__sys*Ip", "`*` at its end only"),
        ("metadata", "write `metadata.metadata`"),
        ("Conversations.Metadata", "is a column"),
        ("tags", "write `metadata.tags`"),
        ("userInput", "leave it out with `select`"),
        ("$metadata", "is a column"),
        ("$metadata.x", "is written with dots only: 'metadata.x'"),
        ("$.metadata['x']", "'metadata.x'"),
        ("metadata['x'].y", "'metadata.x.y'"),
        ('Metadata["x"]', "'metadata.x'"),
        ("metadata[x]", "'metadata.x'"),
        ("[metadata]*", "'metadata.*'"),
        ("conversations[metadata]", "'conversations.metadata'"),
        ("browser_userMeta['email']", "'browser_usermeta.email'"),
    ],
)
def test_a_name_that_can_never_match_is_refused(name: str, said: str) -> None:
    good = ["metadata.tags", "__sys_*", "*", "messages.sender", "$user", "metadata.$time", "user[email]", "a's", "a."]
    (sentence,) = bad_names([name, *good], COLUMNS)
    assert f"names '{name}'" in sentence
    assert said in sentence


def test_a_name_that_no_record_had_is_named_with_one_that_is_close() -> None:
    names = [
        "sys_userIp",
        "browser_userMeta.mail",
        "origin",
        "csat",
        "qqq",
        "a.b",
        "a",
        "anna@example.co",
        "text.email",
    ]
    exclusion = Exclusion(names, COLUMNS)
    assert not [*exclusion.unmatched()]  # nothing was read
    metadata = {**USER, "browser_userMeta": {"email": "a@b.c"}, "a": {"b": 1}, "anna@example.com": 1}
    exclusion.apply({"_id": "a", "metadata": metadata}, COLUMNS["conversations"], [])
    exclusion.apply({"_id": "b", "csat": 5}, COLUMNS["messages"], [])  # of another stream
    exclusion.apply({"_id": "c", "metadata": {"text": '{"email": 1}'}}, COLUMNS["conversations"], [])
    ip, mail, unknown, data = exclusion.unmatched()
    assert "names 'sys_userIp', which no record of this run has: did you mean '__sys_userIp'?" in ip
    assert "did you mean 'browser_userMeta.email'?" in mail
    assert "'qqq'" in unknown
    assert "did you mean" not in unknown + data  # a key that may be data is not proposed
