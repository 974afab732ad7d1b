"""An archive with all that may be odd, and what the dbt models should hold of it, by another way than theirs."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from statistics import median
from typing import Any

import yaml

from sandbox.archive import DAY, Archive, Record
from sandbox.check import expected_rows
from sandbox.contract import STREAMS
from sandbox.server import Sandbox
from tests.conftest import NOW
from tests.support import ROOT


def odd_archive() -> Archive:
    """Two bots, and all that a conversation or a message may lack."""
    archive = Archive(seed=11)
    for bot_name in ("bot", "other"):
        archive.add_bot(bot_name, 60, NOW - 5 * DAY, NOW - DAY)
    unlike: list[Record] = [
        {"tags": None, "metadata": None},
        {"tags": [], "metadata": {}},
        {"tags": ["Resolved", 'it\'s "done"', None]},
        {"tags": ["informed", "liveChat"], "locale": None},
        {"metadata": "no object"},
        {"metadata": {"browser_userHash": "abc", "browser_userMeta": {"email": ""}, "browser_isMobile": "True"}},
        {"metadata": {"browser_userMeta": "no object", "__sys_channel": "wh'atsapp", "browser_isMobile": "maybe"}},
        {"metadata": {"draft": "true", "browser_userHash": 7, "browser_referrer": "/"}},
        {"startTime": None},
    ]
    for number, fields in enumerate(unlike):
        archive.begin("bot", NOW - DAY + number * 1000).update(fields)
    question, answer = {"type": "UserInput", "userInput": "?"}, {"outMsg": "!"}
    scripts: list[list[tuple[int, Record]]] = [
        [(0, answer)],
        [(0, question)],
        [(0, answer), (1000, question)],
        [(0, answer), (0, question), (60_000, answer)],
        [(0, question), (2500, {"type": "AgentMessage"}), (2500, answer), (2500, question)],
        [(0, question), (1000, {"type": None}), (2000, {"type": "SystemEvent"}), (3000, answer)],
    ]
    for script in scripts:
        conversation = archive.begin("other", NOW - DAY // 2)
        for offset, message in script:
            archive.say("other", conversation, NOW - DAY // 2 + offset, message)
    for identity in ("f" * 32, None):
        unknown = {"_id": identity, "lastActionAt": 0}
        archive.say("other", unknown, NOW - DAY, question)
        archive.say("other", unknown, NOW - DAY, answer)
    archive.lived_until = NOW - DAY // 4
    return archive


def go_on(archive: Archive) -> None:
    """Let conversations begin and go on, and let some messages change, whose times stay."""
    archive.live(archive.lived_until + 5_000)
    for message in list(archive.messages["bot"].values())[:20]:
        message["userActionType"] = "action_changed"


PARAMETERS = {
    column["name"]: found[1]
    for column in yaml.safe_load((ROOT / "dbt/models/staging/staging.yml").read_text())["models"][0]["columns"]
    if (found := re.match("`(.*?)`", column["description"])) and not column["name"].startswith("is_")
}
"""Columns of the staging model, and the parameter of `metadata` that each holds: their descriptions begin with it."""
assert len(PARAMETERS) == 19

IN_THE_MART = ["channel", "active_intent", "user_country", "device_family", "os_family", "browser_family"]
IN_THE_MART += ["page_hostname", "page_path", "origin"]


DEFAULTS: dict[str, Any] = yaml.safe_load((ROOT / "dbt/dbt_project.yml").read_text())["vars"]["deepconverse"]


def inside(metadata: Any, path: str) -> str | None:
    """A parameter as text."""
    for name in path.split("."):
        metadata = metadata.get(name) if isinstance(metadata, dict) else None
    return str(metadata).lower() if isinstance(metadata, bool) else None if metadata is None else str(metadata)


def truth(text: str | None) -> bool | None:
    return {"true": True, "false": False}.get((text or "").lower())


class Expected:
    """The marts over an archive."""

    def __init__(self, sandbox: Sandbox, **variables: Any) -> None:
        self.variables = DEFAULTS | variables
        self.sources = {stream: expected_rows(sandbox, stream) for stream in STREAMS}
        for row in (row for rows in self.sources.values() for row in rows.values()):
            row.update({name: value.replace(tzinfo=None) for name, value in row.items() if hasattr(value, "tzinfo")})
        self.messages = list(self._messages())
        self.conversations = [self._conversation(row) for row in self.sources["conversations"].values()]
        self.daily_metrics = list(self._daily("bot_name", "locale", "channel"))
        self.daily_totals = list(self._daily())

    def _messages(self) -> Iterator[Record]:
        agents = self.variables["deepconverse_agent_message_types"]
        numbers = Counter[str | None]()
        rows = self.sources["messages"].values()
        for row in sorted(rows, key=lambda row: (row["time"], row["type"] != "UserInput", row["_id"])):
            identity = row["conversationid"]
            numbers[identity] += 1
            conversation = self.sources["conversations"].get(identity, {})
            is_counted = row["type"] not in {None, *self.variables["deepconverse_ignored_message_types"]}
            yield {
                "message_id": row["_id"],
                "conversation_id": identity,
                "has_conversation": bool(conversation),
                "bot_name": (conversation or row)["bot_name"],
                "locale": conversation.get("locale"),
                "message_number": numbers[identity] if identity else None,
                "sent_at": row["time"],
                "message_type": row["type"],
                "is_from_customer": row["type"] == "UserInput" if is_counted else None,
                "is_from_agent": row["type"] in agents if agents and is_counted else None,
                "user_action_type": row["useractiontype"],
            }

    def _conversation(self, row: Record) -> Record:
        messages = [message for message in self.messages if message["conversation_id"] == row["_id"]]
        customers = [m["sent_at"] for m in messages if m["is_from_customer"]]
        others = [m["sent_at"] for m in messages if m["is_from_customer"] is False]
        agents = [m["is_from_agent"] for m in messages]
        asked = min(customers, default=None)
        answered = min((moment for moment in others if asked and moment >= asked), default=None)
        tags, metadata = row["tags"] or [], row["metadata"]
        is_resolved = any(tag in tags for tag in self.variables["deepconverse_resolved_tags"])
        is_informed, is_handed_over = "informed" in tags, "liveChat" in tags
        identities = [inside(metadata, path) for path in self.variables["deepconverse_customer_parameters"]]
        columns = {name: PARAMETERS[name] for name in IN_THE_MART} | self.variables["deepconverse_metadata_columns"]
        return {
            "conversation_id": row["_id"],
            "bot_name": row["bot_name"],
            "locale": row["locale"],
            "customer_id": next(filter(None, identities), None),
            "started_at": row["starttime"],
            "last_action_at": row["lastactionat"],
            "duration_seconds": seconds(row["starttime"], row["lastactionat"]),
            "is_resolved": is_resolved,
            "is_informed": is_informed,
            "is_handed_over": is_handed_over,
            "is_self_service": (is_resolved or is_informed) and not is_handed_over,
            "messages": len(messages),
            "customer_messages": len(customers),
            "other_side_messages": len(others),
            "agent_messages": sum(map(bool, agents)) if self.variables["deepconverse_agent_message_types"] else None,
            "first_message_at": min((m["sent_at"] for m in messages), default=None),
            "last_message_at": max((m["sent_at"] for m in messages), default=None),
            "first_customer_message_at": asked,
            "first_response_at": answered,
            "first_response_seconds": seconds(asked, answered),
            "is_mobile": truth(inside(metadata, "browser_isMobile")),
            **{name: inside(metadata, path) for name, path in columns.items()},
            "is_draft": truth(inside(metadata, "draft")),
            "tags": row["tags"],
        }

    def _daily(self, *dimensions: str) -> Iterator[Record]:
        groups = defaultdict(list)
        for row in self.conversations:
            if row["started_at"] and (self.variables["deepconverse_include_drafts"] or not row["is_draft"]):
                groups[row["started_at"].date().isoformat(), *(row[name] for name in dimensions)].append(row)
        for (day, *values), rows in groups.items():
            responses = [s for row in rows if (s := row["first_response_seconds"]) is not None]
            parts = "resolved", "informed", "self_service", "handed_over"
            counts = {part: sum(row[f"is_{part}"] for row in rows) for part in parts}
            yield {
                "day": day,
                **dict(zip(dimensions, values, strict=True)),
                "conversations": len(rows),
                **{f"{part}_conversations": count for part, count in counts.items()},
                "answered_conversations": len(responses),
                **{f"{part}_rate": round(n / len(rows), 6) for part, n in counts.items() if part != "informed"},
                "median_first_response_seconds": round(median(responses), 6) if responses else None,
            }


def seconds(start: Any, end: Any) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds(), 6)
