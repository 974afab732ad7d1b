"""Finds in a log what must not be there: a key, or what a customer or a bot has said."""

import re

from sandbox.archive import TOPICS
from sandbox.contract import KEY

OTHER_KEY = "S3CRET"
"""The key in tests whose answers hold the key."""

SAID = [text for texts in TOPICS.values() for text in texts] + ["Hi! How can I help?", "that's it!", "One more thing"]

_planted = [re.escape(KEY), OTHER_KEY, r"customer\d+@", r"203\.0\.113\.", "Mozilla/5"]
_planted += [re.escape(text.split("😕")[0].strip()) for text in SAID]


def leaks(log: str) -> set[str]:
    """Find what must not be in a log."""
    return set(re.findall("|".join(_planted), log))
