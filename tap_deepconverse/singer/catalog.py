"""Reads a catalog with the SDK's classes, and refuses what the SDK would silently ignore."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]
from singer_sdk.exceptions import ConfigurationError
from singer_sdk.singerlib import catalog as sdk
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE as FULL_TABLE
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL as INCREMENTAL

logger = logging.getLogger("tap-deepconverse")

CATALOG = "The catalog {what}; give `--catalog` the output of `tap-deepconverse --discover`, or leave the option out."
TYPES = {"type", "anyOf", "allOf", "oneOf"}
"""Keys of a field's definition that say its type. Without any of them it is a part, to be merged with ours."""


def read_catalog(
    given: Mapping[str, Any], schemas: Mapping[str, Mapping[str, Any]], replication_keys: Mapping[str, str]
) -> sdk.Catalog:
    """Read a catalog; raise `ConfigurationError` if it cannot be used. Streams of others are left out, with a warning.

    `replication_keys` are for a catalog that names none.
    """
    try:
        entries = {entry["tap_stream_id"]: entry for entry in given["streams"]}
    except (KeyError, TypeError):
        entries = {}
    if not entries.keys() & schemas.keys():
        names = " and ".join(f"'{name}'" for name in schemas)
        raise ConfigurationError(CATALOG.format(what=f"has none of this tap's streams, which are {names}"))
    if others := ", ".join(repr(name) for name in entries if name not in schemas):
        logger.warning("The catalog names %s, which this tap does not have and ignores.", others)
    return sdk.Catalog(
        (name, _read(entries[name], name, schemas[name]["properties"], replication_keys[name]))
        for name in sorted(entries.keys() & schemas.keys())
    )


def _read(given: Mapping[str, Any], name: str, ours: Mapping[str, Any], default_key: str) -> sdk.CatalogEntry:
    try:
        fields = {
            field: definition if TYPES & definition.keys() else {**ours.get(field, {}), **definition}
            for field, definition in given["schema"]["properties"].items()
        }
        schema = {**given["schema"], "properties": fields}
        Draft202012Validator.check_schema(schema)
        entry = sdk.CatalogEntry.from_dict({**given, "schema": schema})
        root: dict[str, Any] = next(
            (each["metadata"] for each in given.get("metadata", ()) if not each["breadcrumb"]), {}
        )
        key = entry.replication_key or root.get("replication-key")
        # Meltano writes a user's choice into `metadata`, and leaves the entry's own as `--discover` wrote it.
        methods = [root.get("replication-method"), entry.replication_method, root.get("forced-replication-method")]
        method = next(filter(None, methods), INCREMENTAL if key else FULL_TABLE)
        entry.replication_method = str(method).strip().upper()
        entry.replication_key = key or default_key  # with FULL_TABLE, it tells the newest copy of a record
        keys = ["_id", *(entry.key_properties or ()), entry.replication_key]
        for place in {("properties", key) for key in keys} & entry.metadata.keys():
            entry.metadata[place].inclusion = sdk.Metadata.InclusionType.AUTOMATIC  # a key cannot be deselected
        reason = next(_reasons_against(entry, keys, fields), None)
    except SchemaError as error:
        reason = f"its `schema` is not JSON Schema (see {error.json_path})"
    except (AttributeError, KeyError, TypeError, ValueError):
        reason = "its `schema` and `metadata` are not of the form that `--discover` writes"
    if reason:
        raise ConfigurationError(CATALOG.format(what=f"cannot be used for the stream '{name}': {reason}"))
    return entry


def _reasons_against(entry: sdk.CatalogEntry, keys: list[str], fields: Mapping[str, Any]) -> Iterator[str]:
    if not all(isinstance(each.selected, bool | None) for each in entry.metadata.values()):
        yield "its `metadata` has a `selected` that is neither true nor false"
    if entry.replication_method not in {INCREMENTAL, FULL_TABLE}:
        yield f"its replication method is not one of this tap's, which are {INCREMENTAL} and {FULL_TABLE}"
    for key in keys:
        if key not in fields:
            yield f"its `schema` lacks '{key}', which is a key"
    if fields[keys[-1]].get("format") != "date-time":
        yield "its `replication_key` is not one of its time fields"
