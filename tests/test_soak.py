from pathlib import Path

from sandbox.postgres import Database
from tests.soak import Soak

BOTS = {"busy": 80, "small": 20, "single": 1, "silent": 0}


def test_a_short_soak_leaves_source_and_target_equal(tmp_path: Path, database: Database) -> None:
    """What `make soak` does for half an hour."""
    soak = Soak(1, tmp_path, database, BOTS)
    soak.run(seconds=2)
    assert soak.wrong == []
    assert soak.syncs["complete"]
    assert soak.faults.broken
