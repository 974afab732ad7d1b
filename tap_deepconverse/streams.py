"""The streams, with the fields that the Export API's documentation names.

The API may send other fields at any time. They are in `additional_fields`.
"""

from __future__ import annotations

from singer_sdk import typing as th

from tap_deepconverse.client import ExportStream

OBJECT = th.CustomType({"type": ["object", "null"], "additionalProperties": True})
BOT_NAME = th.Property(
    "bot_name", th.StringType, description="Bot that the record belongs to, as the setting `bot_names` names it."
)
ADDITIONAL_FIELDS = th.Property(
    "additional_fields",
    OBJECT,
    description="Fields that the API's documentation does not name, as the API sends them; null if there are none.",
)


class Conversations(ExportStream):
    """Conversations between a bot and its customers."""

    name = "conversations"
    path = "/conversations"
    primary_keys = ("_id",)
    replication_key = "lastActionAt"
    begin_key = "startTime"
    schema = th.PropertiesList(
        th.Property("_id", th.StringType, required=True, description="Unique id of the conversation."),
        th.Property("startTime", th.DateTimeType, description="When the conversation began."),
        th.Property("lastActionAt", th.DateTimeType, description="When the conversation was last updated."),
        th.Property("locale", th.StringType, description="Locale of the conversation, such as en_us."),
        th.Property(
            "tags",
            th.ArrayType(th.StringType(nullable=True)),
            description="Tags added to the conversation, such as resolved, informed or liveChat.",
        ),
        th.Property(
            "metadata",
            OBJECT,
            description=(
                "Everything stored with the conversation: parameters set by the system and by the user. "
                "A value that is not an object is kept under the key `value`."
            ),
        ),
        BOT_NAME,
        ADDITIONAL_FIELDS,
        additional_properties=False,
    ).to_dict()


class Messages(ExportStream):
    """The messages of those conversations, one by one."""

    name = "messages"
    path = "/messages"
    primary_keys = ("_id",)
    replication_key = "time"
    schema = th.PropertiesList(
        th.Property("_id", th.StringType, required=True, description="Unique id of the message."),
        th.Property("time", th.DateTimeType, description="When the message was sent."),
        th.Property("conversationId", th.StringType, description="Id of the conversation that the message belongs to."),
        th.Property("type", th.StringType, description="Kind of the message; UserInput is one."),
        th.Property(
            "outMsg",
            th.StringType,
            description="What the chatbot sent. Text stays as it is; an object or a list is written as JSON text.",
        ),
        th.Property("userActionType", th.StringType, description="What the customer did; only with type UserInput."),
        th.Property(
            "userInput",
            th.StringType,
            description=(
                "What the customer entered: text, a quick reply or a form's content. Text stays as it is; an object "
                "or a list is written as JSON text."
            ),
        ),
        BOT_NAME,
        ADDITIONAL_FIELDS,
        additional_properties=False,
    ).to_dict()


STREAMS = (Conversations, Messages)
