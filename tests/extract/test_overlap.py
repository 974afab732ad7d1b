from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_deepconverse.extract.overlap import Overlap, WindowEdges
from tap_deepconverse.extract.windows import Window

WINDOW = Window(1_767_225_600, 1_767_312_000)


@pytest.mark.parametrize(
    ("moment", "is_on_edge"),
    [
        ("2026-01-01T00:00:00.000000+00:00", True),
        ("2026-01-01T00:00:00.999999+00:00", True),
        ("2026-01-01T00:00:01.000000+00:00", False),
        ("2026-01-01T23:59:59.999999+00:00", False),
        ("2026-01-02T00:00:00.500000+00:00", True),
        ("2026-01-02T00:00:01.000000+00:00", False),
        (None, False),
    ],
)
def test_only_the_first_and_the_last_second_are_shared(moment: str | None, is_on_edge: bool) -> None:  # noqa: FBT001
    assert WindowEdges(WINDOW).hold(moment) is is_on_edge


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(10, 99))))
def test_of_each_record_no_copy_comes_after_a_newer_one(copies: list[tuple[str, int]]) -> None:
    overlap, emitted = Overlap(), dict[str, list[str]]()
    for identity, version in copies:
        if not overlap.is_older_copy(identity, str(version)):
            emitted.setdefault(identity, []).append(str(version))
    for identity, versions in emitted.items():
        assert versions == sorted(versions)
        assert versions[-1] == str(max(version for other, version in copies if other == identity))


def test_the_same_copy_twice_is_emitted_twice() -> None:
    overlap = Overlap()
    assert not any(overlap.is_older_copy("a", "2026") for _ in range(2))
