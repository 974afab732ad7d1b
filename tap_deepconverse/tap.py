"""The tap: its settings and its streams."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from singer_sdk import Stream, Tap
from singer_sdk.exceptions import ConfigValidationError
from typing_extensions import override

from tap_deepconverse.settings import CONFIG_JSONSCHEMA, problems, unreadable_integers
from tap_deepconverse.streams import Conversations, Messages


class TapDeepConverse(Tap):
    """Extracts the conversations that a company's DeepConverse chatbots hold, through the Export API."""

    name = "tap-deepconverse"
    config_jsonschema: ClassVar[dict[str, Any]] = CONFIG_JSONSCHEMA

    @override
    def __init__(
        self,
        *,
        config: dict[str, Any] | None = None,
        parse_env_config: bool = False,
        validate_config: bool = True,
        **kwargs: Any,
    ) -> None:
        """Initialize the tap.

        Args:
            config: The settings' values. A null is the same as a setting left out.
            parse_env_config: Whether to read settings from the environment too.
            validate_config: Whether the settings must be complete and valid.
            kwargs: What else the SDK's tap takes.

        Raises:
            ConfigValidationError: If they are not; its errors are a sentence for each setting to mend.
        """
        given = {name: value for name, value in (config or {}).items() if value is not None}
        try:
            super().__init__(config=given, parse_env_config=parse_env_config, validate_config=validate_config, **kwargs)
            errors = problems(self.config, self.config_jsonschema) if validate_config else []
        except ConfigValidationError:
            errors = problems(self.config, self.config_jsonschema)
        except ValueError:
            errors = unreadable_integers(os.environ, "TAP_DEEPCONVERSE_") if parse_env_config else []
            if not errors:
                raise
        if errors:
            msg = "Config validation failed"
            raise ConfigValidationError(msg, errors=errors, schema=self.config_jsonschema) from None

    @override
    def discover_streams(self) -> list[Stream]:
        """List the streams. They are the same for every account, so nothing is asked of the API.

        Returns:
            A stream for each endpoint of the Export API.
        """
        return [Conversations(self), Messages(self)]
