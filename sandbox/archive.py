"""The sandbox's data: invented chatbot conversations, the same for the same seed.

The fields are documented, and so are the parameters in `metadata` that begin with `__sys_` or `browser_`, `origin` and
`draft`. Everything else is invented: message types other than `UserInput`, the contents of `outMsg` and `userInput`,
what flows put into `metadata`, and the shares of topics and tags.
"""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.contract import STREAMS

Record = dict[str, Any]

DAY = 86_400_000
"""Milliseconds. Every time in the archive is in Unix milliseconds."""

BOTS = {"shop-assistant": 0.7, "r3-218210": 0.3}
"""The bots, and each one's share of the conversations."""

LOCALES = {"en_us": 58, "es_es": 14, "de_de": 12, "fr_fr": 9, "pt_br": 7}
HOURS = [1, 1, 1, 1, 1, 2, 3, 5, 8, 10, 10, 9, 8, 9, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
"""How busy each hour of the day is, relative to the others."""

TOPICS = {
    "order_status": ("Where is my order?", "Your order is on its way. It should be with you in 2 days."),
    "returns": ("I want to send something back", "You can return it within 30 days. Shall I make you a label?"),
    "password": ("I can't sign in 😕", "I have sent you a link to set a new password."),
    "billing": ("Why was I charged twice?", "One of the two is a reservation, which your bank releases by itself."),
    "warranty": ('My 27" screen stays black', "Please try another cable first: does the light come on?"),
    "shipping": ("Do you deliver to the Azores, and what's the price?", "Yes; it costs €14.90 and takes a week."),
}
OUTCOMES = {"resolved": 52, "informed": 21, "liveChat": 15, "": 12}
COUNTRIES = {"en_us": "US", "es_es": "ES", "de_de": "DE", "fr_fr": "FR", "pt_br": "BR"}
DEVICES = {
    "Mac": ("Mac OS X", "Safari", "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) Version/17.5 Safari/605.1.15"),
    "Other": ("Windows", "Chrome", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/126.0.0.0 Safari/537.36"),
    "iPhone": ("iOS", "Mobile Safari", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148"),
}
"""For each device family: the operating system, the browser and the user agent."""


@dataclass
class Archive:
    """Conversations and messages of some bots.

    Attributes:
        seed: The same seed, bots and span give the same records.
        records: By stream and bot, the records by id.
        lived_until: The time of the latest activity, in Unix milliseconds.
    """

    seed: int = 1
    records: dict[str, dict[str, dict[str, Record]]] = field(default_factory=lambda: {stream: {} for stream in STREAMS})
    lived_until: int = 0

    def __post_init__(self) -> None:
        """Seed the random numbers."""
        self._random = random.Random(self.seed)

    @property
    def conversations(self) -> dict[str, dict[str, Record]]:
        """For each bot, its conversations by id."""
        return self.records["conversations"]

    @property
    def messages(self) -> dict[str, dict[str, Record]]:
        """For each bot, its messages by id."""
        return self.records["messages"]

    def add_bot(self, bot_name: str, conversations: int, start: int, end: int) -> None:
        """Add a bot with past conversations."""
        for by_bot in self.records.values():
            by_bot[bot_name] = {}
        self.lived_until = max(self.lived_until, end)
        begun = 0
        while begun < conversations:
            moment = self._random.randrange(start, end)
            if self._random.random() < HOURS[moment % DAY * 24 // DAY] / max(HOURS):
                self.hold_conversation(bot_name, moment, end)
                begun += 1

    def hold_conversation(self, bot_name: str, moment: int, until: int) -> Record:
        """Add a whole conversation, or its part before `until`, and return it."""
        choose = self._random
        topic = choose.choice(list(TOPICS))
        question, answer = TOPICS[topic]
        outcome = choose.choices(list(OUTCOMES), list(OUTCOMES.values()))[0]
        conversation = self.begin(bot_name, moment, topic)
        script: list[Record] = [
            {"type": "BotMessage", "outMsg": {"text": "Hi! How can I help?", "quickReplies": sorted(TOPICS)}},
            choose.choice(
                [
                    {"type": "UserInput", "userActionType": "action_userInput", "userInput": question},
                    {"type": "UserInput", "userActionType": "action_userQuickReply", "userInput": {"reply": topic}},
                ]
            ),
            {"type": "BotMessage", "outMsg": answer},
        ]
        if outcome == "liveChat":
            form = {"email": f"customer{choose.randrange(10**6)}@example.com", "order": choose.randrange(10**5)}
            script += [
                {"type": "UserInput", "userActionType": "action_userForm", "userInput": [form, {"consent": True}]},
                {"type": "AgentMessage", "outMsg": [{"text": "Hello, this is Kim."}, {"text": "Let me have a look."}]},
            ]
        elif outcome:
            script.append(
                {"type": "UserInput", "userActionType": "action_userInput", "userInput": "Thanks, that's it!"}
            )
        for message in script:
            if moment >= until:
                break
            self.say(bot_name, conversation, moment, message)
            moment += choose.randrange(1_000, 90_000)
        else:
            if outcome:
                conversation["tags"].append(outcome)
        return conversation

    def begin(self, bot_name: str, moment: int, topic: str = "billing") -> Record:
        """Add a conversation without messages, and return it."""
        choose = self._random
        locale = choose.choices(list(LOCALES), list(LOCALES.values()))[0]
        identity = self._new_id()
        conversation: Record = {
            "_id": identity,
            "startTime": moment,
            "lastActionAt": moment,
            "locale": locale,
            "tags": [topic],
            "metadata": self._parameters(identity, locale, topic, len(self.conversations[bot_name])),
        }
        self.conversations[bot_name][conversation["_id"]] = conversation
        return conversation

    def _parameters(self, identity: str, locale: str, topic: str, conversations_before: int) -> Record:
        choose = self._random
        device = choose.choice(list(DEVICES))
        system, browser, agent = DEVICES[device]
        customer = choose.randrange(1 + conversations_before // 2)  # so some customers return
        parameters: Record = {
            "__sys_conversationId": identity,
            "__sys_channel": "web",
            "__sys_userIp": f"203.0.113.{customer % 254 + 1}",
            "__sys_userCountry": COUNTRIES[locale],
            "__sys_userAgent": agent,
            "__sys_userAgentParsed": {
                "device": {"family": device},
                "os": {"family": system, "major": "17"},
                "user_agent": {"family": browser, "major": "126"},
                "string": agent,
            },
            "__sys_userAction": {"type": "action_userQuickReply", "text": topic},
            "__sys_activeIntent": topic,
            "browser_hostname": "shop.example.com",
            "browser_path": f"/help/{topic}",
            "browser_isMobile": device == "iPhone",
            "browser_userMeta": {
                "email": f"customer{customer}@example.com",
                "plan": choose.choice(["free", "pro", None]),
            },
            "origin": "helpCenter",
            "cartValue": choose.randrange(100_000) / 100,
        }
        if choose.random() < 0.02:  # noqa: PLR2004
            parameters["draft"] = "true"
        return parameters

    def say(self, bot_name: str, conversation: Record, moment: int, message: Record) -> Record:
        """Add a message to a conversation, update the conversation, and return the message."""
        whole = {
            "_id": self._new_id(),
            "time": moment,
            "conversationId": conversation["_id"],
            "type": "BotMessage",
            "outMsg": None,
            "userActionType": None,
            "userInput": None,
            **message,
        }
        self.messages[bot_name][whole["_id"]] = whole
        conversation["lastActionAt"] = max(conversation["lastActionAt"], moment)
        return whole

    def live(self, until: int, interval: int = 500) -> None:
        """Let time pass: new conversations begin, and recent ones continue."""
        while self.lived_until + interval <= until:
            self.lived_until += interval
            for bot_name, conversations in self.conversations.items():
                now = self.lived_until
                recent = [c for c in conversations.values() if now - DAY // 2 < c["lastActionAt"] < now]
                if recent and self._random.random() < 0.7:  # noqa: PLR2004
                    conversation = self._random.choice(recent)
                    self.say(bot_name, conversation, now, {"type": "UserInput", "userInput": "One more thing…"})
                    if "liveChat" not in conversation["tags"]:
                        conversation["tags"].append("liveChat")
                else:
                    self.hold_conversation(bot_name, now, now + 1)

    def _new_id(self) -> str:
        return f"{self._random.getrandbits(128):032x}"


def sample_archive(
    conversations: int = 10_000, days: int = 120, *, now: datetime | None = None, seed: int = 1
) -> Archive:
    """Make an archive of two bots over some months."""
    end = int((now or datetime.now(UTC)).timestamp()) * 1000
    archive = Archive(seed)
    for bot_name, share in BOTS.items():
        archive.add_bot(bot_name, round(conversations * share), end - days * DAY, end)
    return archive
