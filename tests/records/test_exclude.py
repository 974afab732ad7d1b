from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_deepconverse.records.exclude import with_columns_left_out, without

USER = {"__sys_userIp": "1.2.3.4", "__sys_userAgent": "Mozilla", "origin": "web"}


@pytest.mark.parametrize(
    ("names", "value", "rest"),
    [
        (["__sys_userIp"], USER, {"__sys_userAgent": "Mozilla", "origin": "web"}),
        (["__sys_user*"], USER, {"origin": "web"}),
        (["*"], USER, {}),
        (["__SYS_USERIP", "sys_userIp", "__sys_user"], USER, USER),
        (["a"], {"b": {"a": 1}}, {"b": {"a": 1}}),
        (["m.email"], {"m": {"email": "x", "plan": "pro"}, "email": "y"}, {"m": {"plan": "pro"}, "email": "y"}),
        (["m.email"], {"m.email": "x", "m": {"email": "y"}}, {"m": {}}),
        (["a.b.c"], {"a.b": {"c": 1, "d": 2}, "a": {"b.c": 1, "b": {"c": 1}}}, {"a.b": {"d": 2}, "a": {"b": {}}}),
        (["m.e*"], {"m": [{"email": "x"}, [{"e": 1, "f": 2}], 7, None]}, {"m": [{}, [{"f": 2}], 7, None]}),
        (["m.*"], {"m": {"x": 1}, "n": 2}, {"m": {}, "n": 2}),
        (["m*"], {"m": {"x": 1}, "m.x": 3, "n": 2}, {"n": 2}),
        (["m.email"], {"m": '{"email": "x"}', "n": "text"}, {"m": None, "n": "text"}),
        (["m.email"], {"m": ["text", 7]}, {"m": [None, 7]}),
        (["a"], [{"a": 1, "b": 2}, [{"a": 1}]], [{"b": 2}, [{}]]),
        (["a"], "text", None),
        (["a"], None, None),
        (["a."], {"a": {"": 1, "b": 2}}, {"a": {"b": 2}}),
        ([""], {"": 1, "b": 2}, {"b": 2}),
    ],
)
def test_what_is_named_is_left_out(names: list[str], value: Any, rest: Any) -> None:
    before = json.dumps(value)
    assert without(value, names) == rest
    assert json.dumps(value) == before


keys = st.text("ab.", max_size=3)
values = st.recursive(st.none() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(keys, inner))


def names_in(value: Any) -> set[str]:
    """List each path of keys."""
    if isinstance(value, list):
        return {name for item in value for name in names_in(item)}
    if not isinstance(value, dict):
        return set()
    return {*value, *(f"{key}.{name}" for key, inner in value.items() for name in names_in(inner))}


def test_a_name_may_have_the_column_before_it() -> None:
    names = with_columns_left_out(["metadata.__sys_userIp", "additional_fields.csat", "a.b"])
    assert without({"__sys_userIp": "::1", "csat": 5, "a": {"b": 1, "c": 2}}, names) == {"a": {"c": 2}}


@given(st.dictionaries(keys, values), keys)
def test_a_name_is_gone_and_all_others_stay(value: Any, name: str) -> None:
    rest = without(value, [name])
    assert name not in names_in(rest)
    assert rest.keys() == value.keys() - {name}
    if name not in names_in(value):
        assert rest == value
