"""Stream maps: what would protect nothing is refused, what they make fits what they announce, and errors say why."""

import ast
import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from simpleeval import FunctionNotDefined, NameNotDefined  # type: ignore[import-untyped]
from singer_sdk import mapper as sdk
from singer_sdk.exceptions import ConfigurationError, FatalSyncError, MapExpressionError
from typing_extensions import override

from tap_deepconverse.api.redact import name_of
from tap_deepconverse.records.values import converter_for
from tap_deepconverse.records.warnings import name_of_record

logger = logging.getLogger("tap-deepconverse")

_json_encoder = msgspec.json.Encoder(decimal_format="number")
_json_decoder = msgspec.json.Decoder()

NO_EXPRESSIONS = {sdk.MAPPER_ALIAS_OPTION, sdk.MAPPER_SOURCE_OPTION, sdk.MAPPER_ELSE_OPTION}
REMOVED = (None, sdk.NULL_STRING)
EMPTY = "is empty, so it would mask nothing; Meltano drops nulls: write `__NULL__`."
OPERATORS = sorted(value for name, value in vars(sdk).items() if name.startswith("MAPPER_"))


def stream_map_problems(stream_maps: Mapping[str, Any], fields: Mapping[str, Collection[str]]) -> list[str]:
    """Return a sentence for each part that would protect nothing: the SDK ignores it, and the data leaves as it is."""
    if not stream_maps:
        return [f"`stream_maps` {EMPTY}"]
    else_ = stream_maps.get(sdk.MAPPER_ELSE_OPTION)
    maps = {name: map_ for name, map_ in stream_maps.items() if name != sdk.MAPPER_ELSE_OPTION}
    sentences = [sentence for name, map_ in maps.items() for sentence in _problems(name, map_, fields)]
    sentences += [sentence for name, map_ in maps.items() for sentence in _no_expressions(name, map_)]
    if else_ not in REMOVED:
        sentences.append(f"`__else__` in `stream_maps` must be `{sdk.NULL_STRING}`, which removes what has no map.")
    for stream in fields:
        names = [f"'{name}'" for name, map_ in maps.items() if fnmatchcase(stream, name)]
        if len(names) > 1:
            both = " and ".join(names)
            sentences.append(f"`stream_maps` has {both} for '{stream}', of which only the last would count.")
    return sentences


def _plain(name: str) -> str:
    return re.sub(r"(?<=\w)[^a-z0-9]+", "", name.casefold())


def _no_expressions(name: str, stream_map: Any) -> Iterator[str]:
    """Yield a sentence for each text of which only a part, or nothing, would be evaluated."""
    for field, text in stream_map.items() if isinstance(stream_map, dict) else ():
        if isinstance(text, str) and text not in REMOVED and field not in NO_EXPRESSIONS:
            try:
                ast.parse(text.strip(), mode="eval")
            except (SyntaxError, ValueError):
                yield f"`{field}` in `stream_maps` for '{name}' is not one expression, as Python has it."


def _problems(name: str, stream_map: Any, fields: Mapping[str, Collection[str]]) -> Iterator[str]:
    if stream_map == {}:
        yield f"`stream_maps` for '{name}' {EMPTY}"
    details = stream_map if isinstance(stream_map, dict) else {}
    source = str(details.get(sdk.MAPPER_SOURCE_OPTION, name))
    if details.get(sdk.MAPPER_SOURCE_OPTION) == name:
        yield f"`stream_maps` for '{name}' names itself as `__source__`, so its records would leave as they are, too."
    streams = [stream for stream in fields if fnmatchcase(stream, source)]
    if not streams:
        yield f"`stream_maps` names '{source}', but the streams are {' and '.join(fields)}."
    known = {field for stream in streams for field in fields[stream]}
    kept = {_plain(field): field for field in known - details.keys()} if "__else__" not in details else {}
    for field, expression in details.items():
        if field.startswith("__") and field not in OPERATORS:
            yield f"`stream_maps` for '{name}' has '{field}', but the operators are {', '.join(OPERATORS)}."
        elif field == sdk.MAPPER_FILTER_OPTION and expression is None:
            yield f"`{field}` in `stream_maps` for '{name}' is null, so it would leave nothing out."
        elif streams and expression in REMOVED and field not in {*OPERATORS, *known}:
            yield (
                f"`stream_maps` removes '{field}' from '{' and '.join(streams)}', which is not a field of it (case "
                "counts). Undocumented fields are inside `additional_fields`: name it in `exclude_metadata`."
            )
        elif field not in known and (original := _meant(field, kept, fields)):
            yield (
                f"`stream_maps` for '{name}' makes '{field}' beside '{original}', which would leave as it is: write "
                f"'{original}' (case counts, and there is no path into a field), or remove it as well."
            )


def _meant(field: str, kept: Mapping[str, str], streams: Collection[str]) -> str | None:
    """Return the field that a new one is probably meant to mask: the same but for its writing, or a path into it."""
    parts = [part for part in re.split(r"[^\w]+", field.casefold()) if part and part not in streams]
    close = get_close_matches(_plain(field), kept, n=1, cutoff=0.9)
    names = [_plain(field), *map(_plain, parts[:1]), *(each for each in close if not _plain(field).startswith(each))]
    return next((kept[each] for each in names if each in kept), None)


class Mapper(sdk.PluginMapper):
    """The SDK's mapper, with checked maps. A map for a stream that is not selected is skipped."""

    @override
    def register_raw_stream_schema(
        self, stream_name: str, schema: dict[str, Any], key_properties: Sequence[str] | None
    ) -> None:
        if not schema.get("properties"):  # the stream is not selected
            self.stream_maps[stream_name] = [sdk.SameRecordTransform(stream_name, schema, key_properties, None)]
            return
        try:
            super().register_raw_stream_schema(stream_name, schema, key_properties)
        except (AttributeError, IndexError, NotImplementedError, TypeError, ValueError):
            msg = "`stream_maps` is not of the form that the SDK's documentation describes."
            raise ConfigurationError(msg) from None
        self.stream_maps[stream_name] = [
            each if isinstance(each, sdk.DefaultStreamMap) else CheckedMap(each, stream_name)
            for each in self.stream_maps[stream_name]
        ]


class CheckedMap(sdk.StreamMap):
    """A stream map whose values fit what it announces, and whose error names the record but quotes nothing from it.

    It gets what JSON has: a float for a fraction, not a `Decimal`.
    """

    def __init__(self, stream_map: sdk.StreamMap, stream: str) -> None:
        super().__init__(stream_map.stream_alias, stream_map.raw_schema, stream_map.raw_key_properties, None)
        self.transformed_schema = stream_map.transformed_schema
        self.transformed_key_properties = stream_map.transformed_key_properties
        self._map = stream_map
        self._stream = stream
        properties = self.transformed_schema["properties"]
        self._converters = {name: converter_for(schema) for name, schema in properties.items()}
        self._warned: set[str] = set()

    @override
    def transform(self, record: dict[str, Any]) -> dict[str, Any] | None:
        try:
            plain: dict[str, Any] = _json_decoder.decode(_json_encoder.encode(record))
            mapped = self._map.transform(plain)
        except Exception as error:  # noqa: BLE001  an expression may fail in any way
            msg = f"{self._place(record)}: `stream_maps` fails: {_reason(error)}."
            raise FatalSyncError(msg) from None
        if mapped is None:
            return None
        for name, value in mapped.items():
            if value is not None and value is not plain.get(name) and name in self._converters:
                faults: list[str] = []
                mapped[name] = self._converters[name](value, faults)
                if faults and name not in self._warned:
                    self._warned.add(name)
                    what = f"`stream_maps` makes a value of `{name}` that does not fit the column, and is null"
                    logger.warning("%s: %s; further ones are not logged", self._place(record), what)
        for key in self.transformed_key_properties or ():
            if mapped.get(key) in (None, ""):
                msg = f"{self._place(record)}: `stream_maps` makes `{key}` null, which is a key."
                raise FatalSyncError(msg)
        return mapped

    def _place(self, record: Mapping[str, Any]) -> str:
        return f"{name_of(str(record.get('bot_name')), self._stream)}, {name_of_record(record.get('_id'))}"

    @override
    def get_filter_result(self, record: dict[str, Any]) -> bool:
        return self._map.get_filter_result(record)


def _reason(error: Exception) -> str:
    """Return why an expression failed, without the error's own message: that may quote the record."""
    cause = error.__cause__ or error
    if isinstance(cause, FunctionNotDefined | NameNotDefined):  # their words quote only the expression
        return f"{cause.message.rstrip('.')}; use selected fields only (`fake` needs the Python package faker)"
    expression = f" ({error})" if isinstance(error, MapExpressionError) else ""
    return f"{type(cause).__name__}{expression}; check its expressions, and `stream_map_config`"
