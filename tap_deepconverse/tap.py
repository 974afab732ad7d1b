"""The tap: its settings and its streams."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, ClassVar, Self

import click
from singer_sdk import Stream, Tap
from singer_sdk.exceptions import ConfigurationError, ConfigValidationError
from singer_sdk.helpers.capabilities import CapabilitiesEnum, TapCapabilities
from singer_sdk.tap_base import CliTestOptionValue
from typing_extensions import override

from tap_deepconverse.api.redact import Secret
from tap_deepconverse.api.sentences import NOTHING_SELECTED, UNKNOWN_STREAMS
from tap_deepconverse.client import ExportStream
from tap_deepconverse.connection_test import ConnectionTest
from tap_deepconverse.extraction import FailedBotsError
from tap_deepconverse.settings import CONFIG_JSONSCHEMA
from tap_deepconverse.singer.catalog import checked_catalog
from tap_deepconverse.singer.files import json_object
from tap_deepconverse.singer.log import keep_metrics_quiet, keep_quiet
from tap_deepconverse.singer.signals import terminate
from tap_deepconverse.singer.state_check import check_state
from tap_deepconverse.singer.writer import PageWriter
from tap_deepconverse.streams import STREAMS
from tap_deepconverse.validation import config_problems, reasons_for, warn_of_unknown

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from types import FrameType


class InvalidSettingsError(ConfigurationError):
    """Replaces `ConfigValidationError`: the SDK would log that before the command can show it, perhaps to nowhere."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


class TapDeepConverse(Tap):
    """Extracts the conversations that a company's DeepConverse chatbots hold, through the Export API."""

    name = "tap-deepconverse"
    message_writer_class = PageWriter
    config_jsonschema: ClassVar[dict[str, Any]] = CONFIG_JSONSCHEMA
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        each
        for each in Tap.capabilities
        if each is not TapCapabilities.ACTIVATE_VERSION  # see `ExportStream`
    ]

    @override
    def __init__(
        self,
        *,
        config: dict[str, Any] | None = None,
        parse_env_config: bool = False,
        validate_config: bool = True,
        state: dict[str, Any] | None = None,
        catalog: Any = None,
        **kwargs: Any,
    ) -> None:
        """Check the settings and the state. A null setting counts as missing.

        Raises:
            UnreadableStateError: If the state cannot be used.
            ConfigValidationError: With a sentence for each setting to fix.
        """
        keep_quiet()
        is_env_read, fields = bool(parse_env_config), _fields_in(catalog)
        if state is not None:
            check_state(state, [stream.name for stream in STREAMS])
        given = _with_hidden_key({name: value for name, value in (config or {}).items() if value is not None})
        try:
            super().__init__(
                config=given,
                parse_env_config=parse_env_config,
                validate_config=validate_config,
                state=state,
                catalog=self._checked_catalog(catalog),
                **kwargs,
            )
            errors = self._problems(fields, is_env_read=is_env_read) if validate_config else []
        except ConfigValidationError as error:
            errors = self._problems(fields, is_env_read=is_env_read) or error.errors
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            errors = reasons_for(error, given, self.config_jsonschema, is_env_read=is_env_read)
            if not errors:
                raise
        if errors:
            msg = "Config validation failed"
            raise ConfigValidationError(msg, errors=errors, schema=self.config_jsonschema) from None
        keep_metrics_quiet()
        if catalog is not None and not any(stream.selected for stream in self.streams.values()):
            self.logger.warning(NOTHING_SELECTED())

    def _problems(self, fields: Mapping[str, Collection[str]], *, is_env_read: bool) -> list[str]:
        warn_of_unknown(
            self.config, self.config_jsonschema, self.logger, is_env_read=is_env_read
        )  # of `.env` too, which the SDK has read now
        return config_problems(self.config, self.config_jsonschema, fields, is_env_read=is_env_read)

    def _checked_catalog(self, catalog: Any) -> Any:
        if not isinstance(catalog, dict):
            return catalog
        checked, others = checked_catalog(catalog, {stream.name: stream.schema for stream in STREAMS})
        if others:
            self.logger.warning(UNKNOWN_STREAMS(names=", ".join(map(repr, others))))
        return checked

    @property
    @override
    def config(self) -> Mapping[str, Any]:
        """The settings, with the key hidden from their `repr` and no blanks around the bot names."""
        config = _with_hidden_key(super().config)
        if isinstance(names := config.get("bot_names"), list):
            config["bot_names"] = [name.strip() if isinstance(name, str) else name for name in names]
        return MappingProxyType(config)

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        # Private, as there is no public hook. The SDK writes a STATE in the middle of what the signal interrupts, even
        # before it has read the given one, and exits with success. Here each checkpoint has written a STATE.
        terminate(signum, getattr(self, "message_writer", None))

    @override
    def discover_streams(self) -> list[Stream]:
        # The same for every account, so no request is needed.
        return [stream(self) for stream in STREAMS]

    @property
    def failed_bots(self) -> dict[str, dict[str, str]]:
        """For each stream: the bots that could not be read completely, and why."""
        streams = [stream for stream in self.streams.values() if isinstance(stream, ExportStream)]
        return {stream.name: stream.extraction.failed for stream in streams if stream.extraction.failed}

    @classmethod
    @override
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        """Read the files given as `--config`; raise `UnreadableFileError` if one holds no JSON object."""
        for path in value:
            if path != "ENV":
                with Path(path).open(encoding="utf-8") as file:
                    json_object(file, "--config")
        return super().cb_config(ctx, param, value)

    @classmethod
    @override
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """Test each bot and stream, and print a report; raise `ConnectionTestError` if one cannot be read."""
        if value in {CliTestOptionValue.Disabled.value, CliTestOptionValue.Schema.value}:
            super().cb_test(ctx, param, value)
            return
        tap = cls._made(ctx.params["config"])
        test = ConnectionTest(tuple(stream(tap) for stream in STREAMS), cls.plugin_version)
        test.run()
        click.echo(test.report().encode())
        test.require_success()
        ctx.exit()

    @classmethod
    @override
    def get_singer_command(cls) -> click.Command:
        command = super().get_singer_command()
        for option in command.params:
            if isinstance(option, click.Option) and option.name == "test":
                option.help = (
                    "Request a few records of each bot and stream, and print a report without the key and without data "
                    "of conversations. --test=schema prints the schemas instead."
                )
        return command

    @classmethod
    def _made(cls, given: Any, **files: Any) -> Self:
        try:
            return cls(config=given.config, parse_env_config=given.parse_env, **files)
        except ConfigValidationError as error:
            raise InvalidSettingsError(error.errors) from None

    @classmethod
    @override
    def invoke(
        cls, *, config: Any = None, state: IO[str] | None = None, catalog: IO[str] | None = None, **options: Any
    ) -> None:
        """Run the tap from the command line.

        Raises:
            UnreadableFileError: If a file holds no JSON object.
            FailedBotsError: If a bot could not be read completely.
            InvalidSettingsError: With a sentence for each setting to fix.
        """
        files: dict[str, Any] = {"state": json_object(state, "--state"), "catalog": json_object(catalog, "--catalog")}
        if options.get("about"):
            super().invoke(config=config, **options)
        cls.print_version(print_fn=cls.logger.info)
        tap = cls._made(config, **files)
        tap.sync_all()
        if tap.failed_bots:
            raise FailedBotsError(tap.failed_bots)


def _fields_in(catalog: Any) -> dict[str, set[str]]:
    """Return the fields of each stream, with those that a catalog adds."""
    fields = {stream.name: set(stream.schema["properties"]) for stream in STREAMS}
    with suppress(AttributeError, KeyError, TypeError):  # `checked_catalog` reports an invalid catalog
        for entry in catalog["streams"]:
            fields.get(entry["tap_stream_id"], set()).update(entry["schema"]["properties"])
    return fields


def _with_hidden_key(config: Mapping[str, Any]) -> dict[str, Any]:
    key = config.get("api_key")
    return {**config, "api_key": Secret(key)} if isinstance(key, str) else dict(config)
