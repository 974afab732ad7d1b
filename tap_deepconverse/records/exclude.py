"""Removes the parameters that the setting `exclude_metadata` names, before anything else sees a record. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


COLUMNS = ("metadata.", "additional_fields.")


def with_columns_left_out(names: Sequence[str]) -> list[str]:
    """Add names without the column in front, for those written as in `select`: `metadata.__sys_userIp`."""
    return [*names, *(name.partition(".")[2] for name in names if name.startswith(COLUMNS))]


def without(value: Any, names: Sequence[str], lost: Callable[[str], None] = lambda _: None, path: str = "") -> Any:
    """Remove the named keys from an object, or from each object in a list.

    A name is a key, or keys with dots between them for nested values. A key that contains dots is named as it is. `*`
    at the end stands for the rest of one key.

    Args:
        value: Parsed JSON. It is not changed.
        names: Names such as `__sys_userIp`, `browser_userMeta.email` or `__sys_user*`.
        lost: Called with the place of each text that would have to be searched.
        path: The place of the value, such as `metadata`.

    Returns:
        A copy without them. Text that would have to be searched becomes null, as it may hold a named value.
    """
    if isinstance(value, list):
        return [without(item, names, lost, path) for item in value]
    if isinstance(value, dict):
        kept = {}
        for key, inner in value.items():
            if any(_is_key(name, key) for name in names):
                continue
            deeper = [name[len(key) + 1 :] for name in names if name.startswith(f"{key}.")]
            kept[key] = without(inner, deeper, lost, f"{path}.{key}") if deeper else inner
        return kept
    if not isinstance(value, str):
        return value
    lost(path)
    return None


def _is_key(name: str, key: str) -> bool:
    return key.startswith(name[:-1]) if name.endswith("*") else key == name
