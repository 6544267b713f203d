"""Simon Willison's `llm`, as people run it: on the command line, with the gateway in its list of models."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

from _scenario import *

HOME = Path(os.environ["HOME"], "llm")
HOME.mkdir()
SETTINGS = {"api_base": BASE_URL, "api_key_name": "portcullis"}
CAN = {"supports_tools": True, "supports_schema": True, "vision": True, "reasoning": True}
# JSON is YAML.
HOME.joinpath("extra-openai-models.yaml").write_text(
    json.dumps(
        [
            {"model_id": "gate", "model_name": MODEL, **SETTINGS, **CAN},
            {"model_id": "nowhere", "model_name": "no-such-model", **SETTINGS},
        ]
    )
)
HOME.joinpath("keys.json").write_text(json.dumps({"portcullis": API_KEY}))


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "llm", *arguments],
        env=dict(os.environ, LLM_USER_PATH=str(HOME)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def llm(*arguments):
    done = run(*arguments)
    if done.returncode != 0:
        raise SystemExit(f"llm {arguments} left with {done.returncode}: {done.stderr}")
    return done


def ask(*arguments):
    return llm("prompt", "-m", "gate", *arguments)


def chat():
    done = ask("--no-stream", "-u", "-s", SYSTEM, HELLO)
    same("stdout", done.stdout, f"{ANSWER}\n")
    if "11 input, 7 output" not in done.stderr:
        raise SystemExit(f"usage: {done.stderr!r}")
    return {"usage": done.stderr}


def stream():
    done = ask("-u", "-s", SYSTEM, HELLO)
    same("stdout", done.stdout, f"{ANSWER}\n")
    if "11 input, 7 output" not in done.stderr:
        raise SystemExit(f"usage: {done.stderr!r}")
    return {"usage": done.stderr}


def parse():
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    done = ask("--schema", json.dumps(schema), EXTRACT)
    same("stdout", json.loads(done.stdout), {"name": "Ada", "age": 36})
    return {}


FUNCTIONS = '''
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sun in {city}" if city == "Paris" else f"rain in {city}"
'''


def tools():
    done = ask("--no-stream", "--functions", FUNCTIONS, WEATHER)
    same("the end of stdout", done.stdout[-len(WEATHER_ANSWER) - 1 :], f"{WEATHER_ANSWER}\n")
    return {"stdout": done.stdout}


def tools_stream():
    done = ask("--functions", FUNCTIONS, WEATHER)
    same("the end of stdout", done.stdout[-len(WEATHER_ANSWER) - 1 :], f"{WEATHER_ANSWER}\n")
    return {"stdout": done.stdout}


def image():
    picture = HOME / "picture.png"
    picture.write_bytes(base64.b64decode(PNG_BASE64))
    same("stdout", ask("-a", str(picture), LOOK).stdout, f"{ANSWER}\n")
    return {}


def history():
    # It knows what was said before from its own log.
    (_, system), (_, first), (_, said), (_, last) = HISTORY
    same("first", ask("-s", system, first).stdout, f"{said}\n")
    same("second", llm("prompt", "-c", last).stdout, f"{ANSWER}\n")
    return {}


def errors():
    def refused(what, *arguments):
        done = run("prompt", *arguments)
        if done.returncode == 0 or what not in done.stderr:
            raise SystemExit(f"{arguments}: {done}")
        return done.stderr

    return {
        "bad_key": refused("Error code: 401", "-m", "gate", "--key", "pk-wrong", HELLO),
        "unknown": refused("Error code: 404", "-m", "nowhere", HELLO),
        # The openai package inside repeats this twice.
        "busy": refused("Error code: 429", "-m", "gate", HELLO),
        "cut": refused("Error: ", "-m", "gate", HELLO),
    }


def stop():
    same("stdout", ask("-o", "stop", "STOP", COUNT).stdout, "one two \n")
    return {}


def max_tokens():
    same("stdout", ask("-o", "max_tokens", "3", COUNT).stdout, "one two three\n")
    return {}


def reasoning():
    same("stdout", ask("-o", "reasoning_effort", "high", HELLO).stdout, f"{ANSWER}\n")
    return {}


main(
    chat, stream, parse, tools, tools_stream, image, history, errors, stop, max_tokens, reasoning
)
