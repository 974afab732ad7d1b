"""The tap: its settings and its streams."""

from __future__ import annotations

from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import click
from singer_sdk import Stream, Tap
from singer_sdk.exceptions import ConfigurationError, ConfigValidationError, FatalAPIError
from singer_sdk.helpers.capabilities import CapabilitiesEnum, PluginCapabilities, TapCapabilities
from singer_sdk.tap_base import CliTestOptionValue
from typing_extensions import override

from tap_deepconverse.api.redact import Secret
from tap_deepconverse.check import check
from tap_deepconverse.client import ExportStream
from tap_deepconverse.records.exclude import Exclusion
from tap_deepconverse.settings import CONFIG_JSONSCHEMA
from tap_deepconverse.singer.catalog import read_catalog
from tap_deepconverse.singer.process import json_object, quiet_libraries, stop
from tap_deepconverse.singer.state import check_state
from tap_deepconverse.singer.stream_maps import Mapper
from tap_deepconverse.singer.writer import PageWriter
from tap_deepconverse.streams import STREAMS
from tap_deepconverse.sync import FailedBotsError, sync_streams
from tap_deepconverse.validation import check_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType


SCHEMAS = {stream.name: stream.schema for stream in STREAMS}


class TapDeepConverse(Tap):
    """Extracts the conversations that a company's DeepConverse chatbots hold, through the Export API."""

    name = "tap-deepconverse"
    message_writer_class = PageWriter
    config_jsonschema: ClassVar[dict[str, Any]] = CONFIG_JSONSCHEMA
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        each
        for each in Tap.capabilities
        if each not in {TapCapabilities.ACTIVATE_VERSION, PluginCapabilities.BATCH}  # see `ExportStream`
    ]

    @override
    def __init__(
        self,
        *,
        config: dict[str, Any] | None = None,
        catalog: Any = None,
        state: dict[str, Any] | None = None,
        parse_env_config: bool = False,
        validate_config: bool = True,
        setup_mapper: bool = True,
        **kwargs: Any,
    ) -> None:
        """Check the settings, the catalog and the state. A null setting counts as missing.

        Raises:
            ConfigurationError: If the state, the catalog or the stream maps cannot be used.
            ConfigValidationError: With a sentence for each setting to fix.
        """
        if state is not None:
            check_state(state, SCHEMAS)
        if isinstance(catalog, dict):
            catalog = read_catalog(catalog, SCHEMAS)
        given = _with_hidden_key({name: value for name, value in (config or {}).items() if value is not None})
        failure: Exception | None = None
        try:
            super().__init__(
                config=given,
                catalog=catalog,
                state=state,
                parse_env_config=parse_env_config,
                validate_config=validate_config,
                setup_mapper=False,  # stream maps are checked first
                **kwargs,
            )
        except (AttributeError, ConfigValidationError, ValueError) as error:
            failure = error
        if validate_config or failure:
            added = {name: entry.schema.properties or {} for name, entry in (catalog or {}).items()}
            fields = {name: {*ours["properties"], *added.get(name, ())} for name, ours in SCHEMAS.items()}
            check_settings(
                lambda: self.config, self.config_jsonschema, fields, failure, is_env_read=bool(parse_env_config)
            )
        if setup_mapper:
            self.setup_mapper()
        quiet_libraries()
        if catalog is not None and not any(stream.selected for stream in self.streams.values()):
            self.logger.warning("No stream is selected in the catalog, so nothing is read.")

    @override
    def setup_mapper(self) -> None:
        self.mapper = Mapper(plugin_config=dict(self.config), logger=self.logger)
        self.mapper.register_raw_streams_from_catalog(self.catalog)

    @property
    @override
    def config(self) -> Mapping[str, Any]:
        """The settings, with the key hidden from their `repr` and no blanks around the bot names."""
        config = _with_hidden_key({name: value for name, value in super().config.items() if value is not None})
        if isinstance(names := config.get("bot_names"), list):
            config["bot_names"] = [name.strip() if isinstance(name, str) else name for name in names]
        return MappingProxyType(config)

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        # Private, as there is no public hook. The SDK writes a STATE in the middle of what the signal interrupts, even
        # before it has read the given one, and exits with success. Here each checkpoint has written a STATE.
        stop(signum, getattr(self, "message_writer", None))

    @override
    def discover_streams(self) -> list[Stream]:
        # The same for every account, so no request is needed.
        return [stream(self, self.exclusion) for stream in STREAMS]

    @cached_property
    def exclusion(self) -> Exclusion | None:
        """What to remove from each record: of all streams together, to notice a name that matches nothing."""
        names = self.config.get("exclude_metadata")
        return Exclusion(names, tuple(SCHEMAS)) if names else None

    @property
    def _export_streams(self) -> list[ExportStream]:
        return [stream for stream in self.streams.values() if isinstance(stream, ExportStream) and stream.selected]

    def run(self) -> None:
        """Read all selected streams at once, each at its own rate limit. Unlike `sync_all`, which goes one by one.

        Raises:
            FatalAPIError: If an error concerns all bots.
            FailedBotsError: If some bots could not be read completely.
        """
        if self.state:
            self.state_writer.write_state(self.state)
        writer, streams = self.message_writer, self._export_streams
        try:
            sync_streams([[*stream.bots.values()] for stream in streams], self.config, writer)
        finally:
            if isinstance(writer, PageWriter):
                writer.flush()
        for sentence in self.exclusion.unmatched() if self.exclusion else ():
            self.logger.warning("%s", sentence)
        if self.failed_bots:
            raise FailedBotsError(self.failed_bots)

    @property
    def failed_bots(self) -> dict[str, dict[str, str]]:
        """For each stream: the bots that could not be read completely, and why."""
        failed = {stream.name: stream.failed_bots for stream in self._export_streams}
        return {name: bots for name, bots in failed.items() if bots}

    @classmethod
    @override
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        """Read the files given as `--config`, each once: it may be a pipe."""
        given = super().cb_config(ctx, param, tuple(path for path in value if path == "ENV"))
        for path in value:
            if path != "ENV":
                given.config.update(json_object(path, "--config") or {})
        return given

    @classmethod
    @override
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """Test each bot and stream, and print a report; raise `FatalAPIError` if one cannot be read."""
        if value in {CliTestOptionValue.Disabled.value, CliTestOptionValue.Schema.value}:
            super().cb_test(ctx, param, value)
            return
        tap = cls._made(ctx.params["config"])
        report, errors = check([stream(tap) for stream in STREAMS], cls.plugin_version)
        click.echo(report.encode())
        if errors:
            raise FatalAPIError("\n".join(errors))
        ctx.exit()

    @classmethod
    @override
    def get_singer_command(cls) -> click.Command:
        command = super().get_singer_command()
        options = {option.name: option for option in command.params if isinstance(option, click.Option)}
        options["test"].help = (
            "Request a few records of each bot and stream, and print a report without the key and without data of "
            "conversations. --test=schema prints the schemas instead."
        )
        for name in ("catalog", "state"):
            options[name].type = click.STRING  # a path, that is read and closed in `invoke`
        return command

    @classmethod
    def _made(cls, given: Any, **files: Any) -> Self:
        try:
            return cls(config=given.config, parse_env_config=given.parse_env, **files)
        except ConfigValidationError as error:
            # The SDK would log that one before `main` can show it, perhaps to nowhere.
            raise ConfigurationError("\n".join(error.errors)) from None

    @classmethod
    @override
    def invoke(  # type: ignore[override]
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: Any = None,
        state: str | None = None,
        catalog: str | None = None,
    ) -> None:
        """Run the tap from the command line.

        Raises:
            ConfigurationError: If settings or files cannot be used, with a line for each reason.
            FailedBotsError: If a bot could not be read completely.
        """
        if about:
            cls.print_about(about_format)
            return
        cls.print_version(print_fn=cls.logger.info)
        files = {"state": json_object(state, "--state"), "catalog": json_object(catalog, "--catalog")}
        tap = cls._made(config, **files)
        tap.run()


def _with_hidden_key(config: Mapping[str, Any]) -> dict[str, Any]:
    key = config.get("api_key")
    return {**config, "api_key": Secret(key)} if isinstance(key, str) else dict(config)
