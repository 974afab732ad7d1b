from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tap_deepconverse.singer.batch import batch_problems

if TYPE_CHECKING:
    from pathlib import Path

JSONL = {"format": "jsonl", "compression": "gzip"}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"encoding": JSONL}, "has no `storage` with a `root`"),
        ({"encoding": JSONL, "storage": {}}, "has no `storage` with a `root`"),
        ({"encoding": JSONL, "storage": {"root": " "}}, "has no `storage` with a `root`"),
        ({"encoding": JSONL, "storage": {"prefix": "a"}}, "has no `storage` with a `root`"),
        ({"storage": {"root": "/tmp"}}, "has no `encoding` with a `format`"),  # noqa: S108
        ({"encoding": {}, "storage": {"root": "/tmp"}}, "has no `encoding` with a `format`"),  # noqa: S108
        ({"encoding": JSONL, "storage": {"root": "/tmp", "path": "/tmp"}}, "has keys other than"),  # noqa: S108
        ({"encoding": JSONL, "storage": {"root": "s3://bucket"}}, "a Python package that is missing (Install s3fs"),
        ({"encoding": JSONL, "storage": {"root": "nope://bucket"}}, "has a `root` that cannot be opened"),
    ],
)
def test_what_cannot_be_written_is_one_sentence_that_names_the_setting(config: dict[str, Any], said: str) -> None:
    (sentence,) = batch_problems(config)
    assert sentence.startswith("`batch_config` ")
    assert said in sentence
    assert '{"encoding": {"format": "jsonl"' in sentence


@pytest.mark.parametrize("size", [0, -1, 1.5, "x", True, None])
def test_a_size_that_writes_nothing_is_one_sentence(tmp_path: Path, size: Any) -> None:
    (sentence,) = batch_problems({"encoding": JSONL, "storage": {"root": str(tmp_path)}, "batch_size": size})
    assert sentence.startswith("`batch_config` has a `batch_size` that is not a whole number of at least 1")


def test_what_can_be_written_passes(tmp_path: Path) -> None:
    for root in (str(tmp_path), tmp_path.as_uri(), str(tmp_path / "new")):
        assert batch_problems({"encoding": JSONL, "storage": {"root": root, "prefix": "a-"}, "batch_size": 10}) == []
