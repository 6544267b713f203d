"""What the client scripts share: where the gateway is, the scenario's texts, and how a script says what it saw.

A script is run as `python openai_sdk.py SCENARIO` with BASE_URL and API_KEY in its environment. It checks the answer
itself, prints one line of JSON, and leaves with 0; anything else it did not expect is a traceback and 1. What the
model behind the gateway answers is scripted in crates/portcullis-http/tests/gateway/clients.rs.
"""

import asyncio
import inspect
import json
import os
import sys

BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ["API_KEY"]
MODEL = "gpt-5.5"

SYSTEM = "Be brief."
HELLO = "Say hello."
ANSWER = "Hello wörld"
EXTRACT = "Extract: Ada is 36."
WEATHER = "Weather in Paris and Rome?"
WEATHER_ANSWER = "Sun and rain."
COUNT = "Count."
PNG_BASE64 = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PNG = f"data:image/png;base64,{PNG_BASE64}"
LOOK = "What is this?"
HISTORY = [
    ("system", "Be brief."),
    ("user", "One."),
    ("assistant", "Uno."),
    ("user", "  Two? \U0001f600 "),
]
REASONING = {"effort": "high", "summary": "auto"}


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sun in {city}" if city == "Paris" else f"rain in {city}"


def same(what, got, want):
    """Fails the script if the client saw something else than what was answered."""
    if got != want:
        raise SystemExit(f"{what}: got {got!r}, wanted {want!r}")


def fails(expected, call):
    """The exception of this kind (and of no other) that the call raises."""
    try:
        got = call()
    except expected as error:
        return error
    raise SystemExit(f"no {expected} was raised, but this was returned: {got!r}")


def main(*scenarios):
    """Runs the scenario that the command line names; each is a function of that name."""
    known = {scenario.__name__: scenario for scenario in scenarios}
    if len(sys.argv) != 2 or sys.argv[1] not in known:
        raise SystemExit(f"usage: {sys.argv[0]} {'|'.join(known)}")
    seen = known[sys.argv[1]]()
    if inspect.isawaitable(seen):
        seen = asyncio.run(seen)
    print(json.dumps(seen))
