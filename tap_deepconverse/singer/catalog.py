"""Reads a catalog with the SDK's classes, and refuses what the SDK would silently ignore."""

import logging
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]
from singer_sdk.exceptions import ConfigurationError
from singer_sdk.singerlib import catalog as sdk
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE as FULL_TABLE
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL as INCREMENTAL

from tap_deepconverse.records.values import types_of

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
        is_double = len(entries) < len(given["streams"])
    except (KeyError, TypeError):
        entries, is_double = {}, False
    if is_double:
        raise ConfigurationError(CATALOG.format(what="has a stream twice"))
    if not entries.keys() & schemas.keys():
        names = " and ".join(f"'{name}'" for name in schemas)
        raise ConfigurationError(CATALOG.format(what=f"has none of this tap's streams, which are {names}"))
    if others := ", ".join(repr(name) for name in entries if name not in schemas):
        logger.warning("The catalog names %s, which this tap does not have and ignores.", others)
    known = {field for schema in schemas.values() for field in schema["properties"]}
    return sdk.Catalog(
        (name, _read(entries[name], name, schemas[name]["properties"], replication_keys[name], known))
        for name in sorted(entries.keys() & schemas.keys())
    )


def _read(
    given: Mapping[str, Any], name: str, ours: Mapping[str, Any], default_key: str, known: Collection[str]
) -> sdk.CatalogEntry:
    try:
        root: dict[str, Any] = next(
            (each["metadata"] for each in given.get("metadata", ()) if not each["breadcrumb"]), {}
        )
        key = given.get("replication_key") or root.get("replication-key")
        keys = ["_id", *(given.get("key_properties") or ()), key or default_key]
        fields = {
            field: definition if TYPES & definition.keys() else {**ours.get(field, {}), **definition}
            for field, definition in given["schema"]["properties"].items()
        }
        for field, definition in fields.items():  # what does not fit becomes null
            if field not in keys and isinstance(definition.get("type"), str):
                fields[field] = {**definition, "type": [definition["type"], "null"]}
        schema = {**given["schema"], "properties": fields}
        Draft202012Validator.check_schema(schema)
        entry = sdk.CatalogEntry.from_dict({**given, "schema": schema})
        # Meltano writes a user's choice into `metadata`, and leaves the entry's own as `--discover` wrote it.
        methods = [root.get("replication-method"), entry.replication_method, root.get("forced-replication-method")]
        method = next(filter(None, methods), INCREMENTAL if key else FULL_TABLE)
        entry.replication_method = str(method).strip().upper()
        entry.stream = name
        entry.replication_key = key or default_key  # with FULL_TABLE, it tells the newest copy of a record
        for place in {("properties", key) for key in keys} & entry.metadata.keys():
            entry.metadata[place].inclusion = sdk.Metadata.InclusionType.AUTOMATIC  # a key cannot be deselected
        reason = next(_reasons_against(entry, keys, fields, known), None)
    except SchemaError as error:
        reason = f"its `schema` is not JSON Schema (see {error.json_path})"
    except (AttributeError, KeyError, TypeError, ValueError):
        reason = "its `schema` and `metadata` are not of the form that `--discover` writes"
    if reason:
        raise ConfigurationError(CATALOG.format(what=f"cannot be used for the stream '{name}': {reason}"))
    return entry


def _reasons_against(
    entry: sdk.CatalogEntry, keys: list[str], fields: Mapping[str, Any], known: Collection[str]
) -> Iterator[str]:
    if not all(isinstance(each.selected, bool | None) for each in entry.metadata.values()):
        yield "its `metadata` has a `selected` that is neither true nor false"
    for place in (place for place, each in entry.metadata.items() if place and each.selected is False):
        is_field = len(place) % 2 == 0 and {*place[::2]} == {"properties"} and place[1] in {*fields, *known}
        is_inside = place[2:] and is_field and place[1] in fields
        if not is_field or (is_inside and "object" not in types_of(fields[place[1]])):
            yield f"its `metadata` deselects {list(place)}, where there is no field"
    if "_id" not in (entry.key_properties or keys):
        yield "its `key_properties` lack '_id'"
    if entry.replication_method not in {INCREMENTAL, FULL_TABLE}:
        yield f"its replication method is not one of this tap's, which are {INCREMENTAL} and {FULL_TABLE}"
    for key in keys:
        if key not in fields:
            yield f"its `schema` lacks '{key}', which is a key"
    if fields[keys[-1]].get("format") != "date-time":
        yield "its `replication_key` is not one of its time fields"
