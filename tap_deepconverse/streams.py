"""The streams, with the fields that the Export API's documentation names.

The API may send other fields at any time. They are in `additional_fields`.
"""

from singer_sdk import typing as th

from tap_deepconverse.client import ExportStream

OBJECT = th.CustomType({"type": ["object", "null"], "additionalProperties": True})
TEXTS = th.ArrayType(th.StringType(nullable=True))
ADDED = (
    th.Property("bot_name", th.StringType, description="Bot that the record belongs to, as `bot_names` names it."),
    th.Property("additional_fields", OBJECT, description="Fields that the API's documentation does not name, or null."),
)


def _text(name: str, description: str, *, required: bool = False) -> th.Property[str]:
    return th.Property(name, th.StringType, required=required, description=description)


class Conversations(ExportStream):
    """Conversations between a bot and its customers."""

    name = "conversations"
    path = "/conversations"
    primary_keys = ("_id",)
    replication_key = "lastActionAt"
    begin_key = "startTime"
    schema = th.PropertiesList(
        _text("_id", "Unique id of the conversation.", required=True),
        th.Property("startTime", th.DateTimeType, description="When the conversation began."),
        th.Property("lastActionAt", th.DateTimeType, description="When the conversation was last updated."),
        _text("locale", "Locale of the conversation, such as en_us."),
        th.Property("tags", TEXTS, description="Tags of the conversation, such as resolved, informed or liveChat."),
        th.Property(
            "metadata", OBJECT, description="Parameters of the system and the user. Any other value is in `value`."
        ),
        *ADDED,
        additional_properties=False,
    ).to_dict()


class Messages(ExportStream):
    """The messages of those conversations, one by one."""

    name = "messages"
    path = "/messages"
    primary_keys = ("_id",)
    replication_key = "time"
    schema = th.PropertiesList(
        _text("_id", "Unique id of the message.", required=True),
        th.Property("time", th.DateTimeType, description="When the message was sent."),
        _text("conversationId", "Id of the conversation that the message belongs to."),
        _text("type", "Kind of the message; UserInput is one."),
        _text("outMsg", "What the chatbot sent. Text stays as it is; an object or a list is written as JSON text."),
        _text("userActionType", "What the customer did; only with type UserInput."),
        _text("userInput", "What the customer entered: text, a quick reply or a form's content; like `outMsg`."),
        *ADDED,
        additional_properties=False,
    ).to_dict()


STREAMS = (Conversations, Messages)
