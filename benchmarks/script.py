"""What the API's documentation shows: fetch, parse, print, and follow the cursor.

Run as `python -m benchmarks.script URL START END BOT...`, the span in Unix seconds.
"""

import json
import sys
import time

import requests

from sandbox.contract import CURSOR, DATA, ENDPOINTS, KEY_HEADER, MOST_PER_PAGE, parameters

url, start, end, *bots = sys.argv[1:]
for bot in bots:
    cursor = None
    while True:
        answer = requests.get(
            url + ENDPOINTS["conversations"].path,
            params=parameters(start_time=start, end_time=end, bot_name=bot, per_page=MOST_PER_PAGE, cursor=cursor),
            headers={KEY_HEADER: "key"},
            timeout=60,
        )
        if answer.status_code == 429:  # noqa: PLR2004
            time.sleep(1)
            continue
        page = answer.json()
        for record in page[DATA]:
            print(json.dumps(record))  # noqa: T201
        cursor = page[CURSOR]
        if cursor is None:
            break
