"""Reads a catalog with the SDK's classes, and refuses what the SDK would silently ignore."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]
from singer_sdk.exceptions import ConfigurationError
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL, Catalog, CatalogEntry

from tap_deepconverse.records.values import types_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

logger = logging.getLogger("tap-deepconverse")

CATALOG = "The catalog {what}; give `--catalog` the output of `tap-deepconverse --discover`, or leave the option out."
METHODS = (REPLICATION_INCREMENTAL, REPLICATION_FULL_TABLE)
TYPES = {"type", "anyOf", "allOf", "oneOf"}
"""Keys of a field's definition that say its type. Without any of them it is a part, to be merged with ours."""


def read_catalog(given: Mapping[str, Any], schemas: Mapping[str, Mapping[str, Any]]) -> Catalog:
    """Read a catalog. A stream that the tap does not have is left out, with a warning.

    Args:
        given: The catalog as given.
        schemas: The schema of each stream of the tap.

    Raises:
        ConfigurationError: If it is not of the form that `--discover` writes.
    """
    streams = given.get("streams")
    if not isinstance(streams, list):
        kind = "is a state: it" if "bookmarks" in given else "holds settings: it" if "api_key" in given else "file"
        raise ConfigurationError(CATALOG.format(what=f"{kind} has no list of `streams`"))
    entries = {str(entry.get("tap_stream_id")): entry for entry in streams if isinstance(entry, dict)}
    if not entries.keys() & schemas.keys():
        names = " and ".join(f"'{name}'" for name in schemas)
        raise ConfigurationError(CATALOG.format(what=f"has none of this tap's streams, which are {names}"))
    catalog = Catalog()
    for name in sorted(entries.keys() & schemas.keys()):
        catalog[name] = _read(entries[name], name, schemas[name]["properties"])
    if others := ", ".join(repr(name) for name in entries if name not in schemas):
        logger.warning("The catalog names %s, which this tap does not have and ignores.", others)
    return catalog


def _read(given: Mapping[str, Any], name: str, ours: Mapping[str, Any]) -> CatalogEntry:
    try:
        fields = {
            field: definition if TYPES & definition.keys() else {**ours.get(field, {}), **definition}
            for field, definition in given["schema"]["properties"].items()
        }
        schema = {**given["schema"], "properties": fields}
        Draft202012Validator.check_schema(schema)
        entry = CatalogEntry.from_dict({**given, "schema": schema})
        # Meltano writes a user's choice into `metadata`, and leaves the entry's own as `--discover` wrote it.
        of_stream = [each["metadata"] for each in given.get("metadata", []) if not each["breadcrumb"]]
        chosen = [each.get("replication-method") for each in of_stream]
        methods = [*chosen, entry.replication_method, entry.metadata.root.forced_replication_method]
        entry.replication_method = next((str(method).strip().upper() for method in methods if method), None)
        reason = next(_reasons_against(entry, fields, {**ours, **fields}), None)
    except SchemaError as error:
        reason = f"its `schema` is not JSON Schema (see {error.json_path})"
    except (AttributeError, KeyError, TypeError, ValueError):
        reason = "its `schema` and `metadata` are not of the form that `--discover` writes"
    if reason:
        raise ConfigurationError(CATALOG.format(what=f"cannot be used for the stream '{name}': {reason}"))
    return entry


def _reasons_against(entry: CatalogEntry, fields: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    root = entry.metadata.root
    if not all(isinstance(each.selected, bool | None) for each in entry.metadata.values()):
        yield "its `metadata` has a `selected` that is neither true nor false"
    if not {*(entry.key_properties or root.table_key_properties or ["_id"])} <= fields.keys():
        yield "it lacks the field '_id', or another one in its `key_properties`"
    if "string" not in types_of(fields.get("_id", {})):
        yield "its field '_id' is not of the type string"
    key, method = entry.replication_key or root.replication_key, entry.replication_method
    times = [name for name, field in known.items() if field.get("format") == "date-time"]
    if key is not None and key not in times:
        yield f"its `replication_key` is not one of its time fields, such as '{min(times)}'"
    if method not in {None, *METHODS}:
        yield f"its replication method is not one of this tap's, which are {' and '.join(METHODS)}"
    if method == REPLICATION_INCREMENTAL and key is None:
        yield f"its replication method {REPLICATION_INCREMENTAL} needs a `replication_key`, such as '{min(times)}'"
