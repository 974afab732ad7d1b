"""The tap: its settings and its streams."""

from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import click
from singer_sdk import Stream, Tap
from singer_sdk.exceptions import FatalAPIError, SyncError
from singer_sdk.helpers.capabilities import CapabilitiesEnum
from singer_sdk.tap_base import CliTestOptionValue
from typing_extensions import override

from tap_deepconverse.check import check
from tap_deepconverse.client import ExportStream
from tap_deepconverse.records.exclude import Exclusion
from tap_deepconverse.settings import CONFIG_JSONSCHEMA, check_settings, settings_in_environment, tidy
from tap_deepconverse.singer.catalog import read_catalog
from tap_deepconverse.singer.process import json_object, quiet_libraries, stop
from tap_deepconverse.singer.state import check_state
from tap_deepconverse.singer.stream_maps import Mapper
from tap_deepconverse.singer.writer import PageWriter
from tap_deepconverse.streams import STREAMS
from tap_deepconverse.sync import read_bots

SCHEMAS = {stream.name: stream.schema for stream in STREAMS}
REPLICATION_KEYS = {stream.name: stream.replication_key for stream in STREAMS}
ANY_ACCOUNT = {"api_key": "any", "bot_names": ["any"], "start_date": "1970-01-01"}


class TapDeepConverse(Tap):
    """Extracts the conversations that a company's DeepConverse chatbots hold, through the Export API."""

    name = "tap-deepconverse"
    message_writer_class = PageWriter
    config_jsonschema: ClassVar[dict[str, Any]] = CONFIG_JSONSCHEMA
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        each for each in Tap.capabilities if each.value not in {"activate-version", "batch"}
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
        **kwargs: Any,
    ) -> None:
        """Check the state, the catalog and the settings: one that cannot be used is a `ConfigurationError`."""
        if state is not None:
            check_state(state, SCHEMAS)
        if isinstance(catalog, dict):
            catalog = read_catalog(catalog, SCHEMAS, REPLICATION_KEYS)
        self.append_builtin_config(self.config_jsonschema)
        in_environment = settings_in_environment(self.config_jsonschema) if parse_env_config else {}
        settings = tidy({**(config or {}), **in_environment})
        if validate_config:
            added = {name: entry.schema.properties or {} for name, entry in (catalog or {}).items()}
            fields = {name: {*ours["properties"], *added.get(name, ())} for name, ours in SCHEMAS.items()}
            check_settings(settings, self.config_jsonschema, fields)
        names = settings.get("exclude_metadata")
        # Of all streams together, to notice a name that matches nothing.
        self.exclusion = Exclusion(names, tuple(SCHEMAS)) if names else None
        # The SDK's own check would say less, and may hold values.
        super().__init__(config=settings, catalog=catalog, state=state, validate_config=False, **kwargs)
        quiet_libraries()

    @override
    def setup_mapper(self) -> None:
        self.mapper = Mapper(plugin_config=dict(self.config), logger=self.logger)
        self.mapper.register_raw_streams_from_catalog(self.catalog)

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        # Private, as there is no public hook. The SDK writes a STATE in the middle of what the signal interrupts, even
        # before it has read the given one, and exits with success. Here each checkpoint has written a STATE.
        stop(signum, getattr(self, "message_writer", None))

    @override
    def discover_streams(self) -> list[Stream]:
        return [stream(self, self.exclusion) for stream in STREAMS]

    @property
    def _export_streams(self) -> list[ExportStream]:
        return [stream for stream in self.streams.values() if isinstance(stream, ExportStream) and stream.selected]

    def run(self) -> None:
        """Read all selected streams at once, each at its own rate limit. Unlike `sync_all`, which goes one by one."""
        if self.state:
            self.state_writer.write_state(self.state)
        streams = self._export_streams
        if not streams:
            self.logger.warning("No stream is selected in the catalog, so nothing is read.")
        bots = [bot for stream in streams for bot in stream.bots.values()]
        for bot in read_bots(bots, self.config, self.message_writer):
            bot.stream.sync(bot.context)
        for stream in streams:  # a target wants the schema of a stream without records too
            stream.sync(stream.partitions[0])
        for sentence in self.exclusion.unmatched() if self.exclusion else ():
            self.logger.warning("%s", sentence)
        if failed := self.failed_bots:
            names = "; ".join(f"{stream}: {', '.join(map(repr, errors))}" for stream, errors in failed.items())
            msg = (
                f"These bots failed ({names}); all others are complete. See the errors above. The next run goes on "
                "from their last checkpoints."
            )
            raise SyncError(msg)

    @property
    def failed_bots(self) -> dict[str, dict[str, str]]:
        """For each stream: the bots that could not be read completely, and why."""
        return {stream.name: stream.failed_bots for stream in self._export_streams if stream.failed_bots}

    @classmethod
    @override
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        """Read the files given as `--config`, each once: it may be a pipe."""
        given = super().cb_config(ctx, param, tuple(path for path in value if path == "ENV"))
        for path in value:
            if path != "ENV":
                given.config.update(json_object(Path(path).read_bytes(), "--config"))
        return given

    @classmethod
    @override
    def cb_discover(cls, ctx: click.Context, param: click.Option, value: bool) -> None:
        if value:  # the streams are the same for every account
            cls(config=ANY_ACCOUNT).run_discovery()
            ctx.exit()

    @classmethod
    @override
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """Test each bot and stream, and print a report; raise `FatalAPIError` if one cannot be read."""
        if value in {CliTestOptionValue.Disabled.value, CliTestOptionValue.Schema.value}:
            super().cb_test(ctx, param, value)
            return
        given = ctx.params["config"]
        ctx.close()  # the files of other options, which an error would leave open
        tap = cls(config=given.config, parse_env_config=given.parse_env)
        report, errors = check([stream(tap) for stream in STREAMS], cls.plugin_version)
        click.echo(report.encode())
        if errors:
            raise FatalAPIError("\n".join(errors))
        ctx.exit()

    @classmethod
    @override
    def invoke(cls, *, about: bool = False, about_format: str | None = None, config: Any = None, **files: Any) -> None:
        """Run the tap from the command line. `files` are those of the state and the catalog."""
        if about:
            cls.print_about(about_format)
            return
        cls.print_version(print_fn=cls.logger.info)
        files = {name: json_object(file.buffer.read(), f"--{name}") for name, file in files.items() if file}
        cls(config=config.config, parse_env_config=config.parse_env, **files).run()
