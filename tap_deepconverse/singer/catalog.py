"""Checks a catalog. The SDK silently ignores what it does not know: of the wrong file, everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]
from singer_sdk.exceptions import ConfigurationError

from tap_deepconverse.api.sentences import CATALOG
from tap_deepconverse.records.convert import types_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class UnusableCatalogError(ConfigurationError):
    """The catalog cannot be used."""

    def __init__(self, what: str) -> None:
        super().__init__(CATALOG(what=what))


def checked_catalog(
    catalog: Mapping[str, Any], schemas: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, Any], list[str]]:
    """Check the form of a catalog, and that it has streams of the tap.

    Args:
        catalog: The catalog as given.
        schemas: The schema of each stream of the tap.

    Returns:
        The catalog without unknown streams, and the names of those.

    Raises:
        UnusableCatalogError: If it is not of the form that `--discover` writes.
    """
    streams = catalog.get("streams")
    if not isinstance(streams, list):
        kind = "is a state: it" if "bookmarks" in catalog else "holds settings: it" if "api_key" in catalog else "file"
        what = f"{kind} has no list of `streams`"
        raise UnusableCatalogError(what)
    known = [entry for entry in streams if isinstance(entry, dict) and str(entry.get("tap_stream_id")) in schemas]
    if not known:
        what = "has none of this tap's streams, which are " + " and ".join(f"'{name}'" for name in schemas)
        raise UnusableCatalogError(what)
    for entry in known:
        name = entry["tap_stream_id"]
        if reason := next(_reasons_against(entry, schemas[name]), None):
            what = f"cannot be used for the stream '{name}': {reason}"
            raise UnusableCatalogError(what)
    others = [str(entry.get("tap_stream_id")) for entry in streams if isinstance(entry, dict) and entry not in known]
    return {**catalog, "streams": known}, others


def _reasons_against(entry: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    given = entry.get("schema")
    fields = given.get("properties") if isinstance(given, dict) else None
    if not isinstance(fields, dict) or not all(isinstance(field, dict) for field in fields.values()):
        yield "its `schema` has no `properties` that describe its fields"
        return
    try:
        Draft202012Validator.check_schema(given)
    except SchemaError as error:
        yield f"its `schema` is not JSON Schema (see {error.json_path})"
        return
    metadata = entry.get("metadata", [])
    if not isinstance(metadata, list) or not all(map(_is_metadata, metadata)):
        yield "its `metadata` is not a list of objects with a `breadcrumb` and `metadata`"
        return
    if any(not isinstance(each["metadata"].get("selected", True), bool | None) for each in metadata):
        yield "its `metadata` has a `selected` that is neither true nor false"
    of_stream: Mapping[str, Any] = next((each["metadata"] for each in metadata if not each["breadcrumb"]), {})
    key = entry.get("replication_key") or of_stream.get("replication-key")
    keys = entry.get("key_properties") or of_stream.get("table-key-properties") or ["_id"]
    if not isinstance(keys, list | tuple) or not all(isinstance(each, str) and each in fields for each in keys):
        yield "it lacks the field '_id', or another one in its `key_properties`"
    if "string" not in types_of(fields.get("_id", {})):
        yield "its field '_id' is not of the type string"
    times = {name for name, field in {**schema["properties"], **fields}.items() if _is_time(field)}
    if key is not None and (not isinstance(key, str) or key not in times):
        yield f"its `replication_key` is not one of its time fields, such as '{min(times)}'"


def _is_metadata(each: Any) -> bool:
    return (
        isinstance(each, dict) and isinstance(each.get("breadcrumb"), list) and isinstance(each.get("metadata"), dict)
    )


def _is_time(field: Mapping[str, Any]) -> bool:
    return field.get("format") == "date-time"
