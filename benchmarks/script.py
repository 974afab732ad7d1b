"""What the API's documentation shows: fetch, parse, print, and follow the cursor.

Run as `python -m benchmarks.script URL START END BOT...`, the span in Unix seconds.
"""

from __future__ import annotations

import json
import sys
import time

import requests

url, start, end, *bots = sys.argv[1:]
for bot in bots:
    cursor = None
    while True:
        answer = requests.get(
            f"{url}/conversations/export/v1/conversations",
            params={"start_time": start, "end_time": end, "bot_name": bot, "per_page": 1000, "cursor": cursor},
            headers={"x-api-key": "key"},
            timeout=60,
        )
        if answer.status_code == 429:  # noqa: PLR2004
            time.sleep(1)
            continue
        page = answer.json()
        for record in page["data"]:
            print(json.dumps(record))  # noqa: T201
        cursor = page["cursor"]
        if cursor is None:
            break
