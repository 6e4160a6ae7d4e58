"""Hooks of Schemathesis: send a caller's token with each request, and count the requests.

GX_TOKEN is a token that the run never ends. GX_SPENT_TOKENS are sessions for the routes that end
the session of their caller or close the account, separated by commas: when one has ended, the next
is used. Those of people are of different accounts.
GX_COUNT_FILE gets the number of requests.
"""

import atexit
import os
import re

import schemathesis

ENDS_A_SESSION = re.compile(r"/(logout|logout-all|password/change|me/close|me/sessions/\{id\})$")

token = os.environ.get("GX_TOKEN")
spent_tokens = os.environ.get("GX_SPENT_TOKENS", "").split(",")
requests = 0


if token:

    @schemathesis.auth(refresh_interval=None)
    class Caller:
        def get(self, case, context):
            ends = ENDS_A_SESSION.search(case.operation.path)
            return spent_tokens[0] if ends else token

        def set(self, case, data, context):
            case.headers = case.headers or {}
            case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def after_call(context, case, response):
    global requests
    requests += 1
    ends = ENDS_A_SESSION.search(case.operation.path)
    if ends and response.status_code in (202, 204, 401) and len(spent_tokens) > 1:
        spent_tokens.pop(0)


@atexit.register
def write_count():
    with open(os.environ["GX_COUNT_FILE"], "w", encoding="ascii") as file:
        file.write(str(requests))
