"""Checks `batch_config` before anything is read: the SDK fails at the first batch, without naming the setting."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from upath import UPath

from tap_deepconverse.api.sentences import BATCH

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGES = {"jsonl": "json", "parquet": "pyarrow"}
"""What the SDK needs to write each format."""


def batch_problems(config: Mapping[str, Any]) -> list[str]:
    """Return a sentence that says why `batch_config` cannot be used; an empty list if it can."""
    what = _reason_against(config)
    return [BATCH(what=what)] if what else []


def _reason_against(config: Mapping[str, Any]) -> str | None:
    encoding, storage = config.get("encoding"), config.get("storage")
    if not isinstance(encoding, dict) or encoding.get("format") not in PACKAGES:
        return "has no `encoding` with a `format`, which is jsonl or parquet"
    if not isinstance(storage, dict) or not isinstance(storage.get("root"), str) or not storage["root"].strip():
        return "has no `storage` with a `root`, which is a folder or a URL"
    unknown = (
        config.keys() - {"encoding", "storage", "batch_size"}
        | encoding.keys() - {"format", "compression"}
        | storage.keys() - {"root", "prefix", "params"}
    )
    if unknown:
        return "has keys other than `encoding` (`format`, `compression`), `storage` (`root`, `prefix`) and `batch_size`"
    size = config.get("batch_size", 1)
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        return "has a `batch_size` that is not a whole number of at least 1"
    package = PACKAGES[encoding["format"]]
    if find_spec(package) is None:
        return f"asks for {encoding['format']}, which needs the Python package {package} beside the tap"
    return _reason_against_root(storage)


def _reason_against_root(storage: Mapping[str, Any]) -> str | None:
    try:
        _ = UPath(storage["root"], **(storage.get("params") or {})).resolve().fs
    except ImportError as error:
        return f"has a `root` that needs a Python package that is missing ({error})"
    except Exception as error:  # noqa: BLE001  each kind of storage has its own errors
        return f"has a `root` that cannot be opened ({type(error).__name__})"
    return None
