from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.soak import Soak

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.postgres import Database


@pytest.mark.parametrize("seed", [1])
def test_a_short_soak_leaves_source_and_target_equal(tmp_path: Path, database: Database, seed: int) -> None:
    """What `make soak` does for half an hour."""
    figures = Soak(seed, tmp_path, database).run(seconds=10)
    assert figures.wrong == []
    assert figures.syncs["complete"]
    assert figures.broken_answers
