"""LiteLLM, as a library."""

import json
import os

# Otherwise it fetches a price list from the network when it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from pydantic import BaseModel

from _scenario import *

litellm.telemetry = False
litellm.suppress_debug_info = True
SAY_HELLO = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": HELLO}]


class Person(BaseModel):
    name: str
    age: int


def user(content):
    return [{"role": "user", "content": content}]


def ask(messages, model=MODEL, **options):
    settings = {"api_base": BASE_URL, "api_key": API_KEY, "max_retries": 0, "num_retries": 0}
    return litellm.completion(model=f"openai/{model}", messages=messages, **(settings | options))


def usage_of(usage):
    return [
        usage.prompt_tokens,
        usage.prompt_tokens_details.cached_tokens,
        usage.completion_tokens,
        usage.completion_tokens_details.reasoning_tokens,
        usage.total_tokens,
    ]


def chat():
    answer = ask(SAY_HELLO)
    same("content", answer.choices[0].message.content, ANSWER)
    same("finish_reason", answer.choices[0].finish_reason, "stop")
    same("usage", usage_of(answer.usage), [11, 3, 7, 2, 18])
    return {"id": answer.id}


def stream():
    chunks = list(ask(SAY_HELLO, stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    same("text", text, ANSWER)
    whole = litellm.stream_chunk_builder(chunks, messages=SAY_HELLO)
    same("content", whole.choices[0].message.content, ANSWER)
    same("finish_reason", whole.choices[0].finish_reason, "stop")
    same("usage", usage_of(chunks[-1].usage), [11, 3, 7, 2, 18])
    return {"chunks": len(chunks)}


def parse():
    answer = ask(user(EXTRACT), response_format=Person)
    same(
        "parsed",
        Person.model_validate_json(answer.choices[0].message.content),
        Person(name="Ada", age=36),
    )
    return {}


FUNCTION = {
    "name": "get_weather",
    "description": get_weather.__doc__,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
OFFERED = [{"type": "function", "function": FUNCTION}]


def round_trip(ask):
    messages = user(WEATHER)
    answer = ask(messages, tools=OFFERED, tool_choice="auto")
    same("finish_reason", answer.choices[0].finish_reason, "tool_calls")
    message = answer.choices[0].message
    messages.append(message)
    for call in message.tool_calls:
        output = get_weather(**json.loads(call.function.arguments))
        messages.append(
            {"role": "tool", "tool_call_id": call.id, "name": call.function.name, "content": output}
        )
    final = ask(messages, tools=OFFERED)
    same("content", final.choices[0].message.content, WEATHER_ANSWER)
    return {"calls": [call.function.arguments for call in message.tool_calls]}


def tools():
    return round_trip(ask)


def tools_stream():
    return round_trip(
        lambda messages, **options: litellm.stream_chunk_builder(
            list(ask(messages, stream=True, **options)), messages=messages
        )
    )


def image():
    content = [{"type": "text", "text": LOOK}, {"type": "image_url", "image_url": {"url": PNG}}]
    same("content", ask(user(content)).choices[0].message.content, ANSWER)
    return {}


def history():
    answer = ask([{"role": role, "content": content} for role, content in HISTORY])
    same("content", answer.choices[0].message.content, ANSWER)
    return {}


def bad_key():
    error = fails(litellm.AuthenticationError, lambda: ask(user(HELLO), api_key="pk-wrong"))
    return {"bad_key": str(error)}


def errors():
    unknown = fails(litellm.NotFoundError, lambda: ask(user(HELLO), model="no-such-model"))
    busy = fails(litellm.RateLimitError, lambda: ask(user(HELLO)))
    # Its own name for an error in the middle of a stream.
    cut = fails(litellm.exceptions.MidStreamFallbackError, lambda: list(ask(user(HELLO), stream=True)))
    same("what was heard", "Half an answer".startswith(cut.generated_content), True)
    same("something was heard", cut.is_pre_first_chunk, False)
    return {"unknown": str(unknown), "busy": str(busy), "cut": str(cut)}


def several():
    answer = ask(user(COUNT), n=2)
    same("texts", sorted(choice.message.content for choice in answer.choices), ["one", "two"])
    same("usage", answer.usage.total_tokens, 36)
    return {}


def stop():
    # It knows that OpenAI's own model of this name takes no `stop`.
    answer = ask(user(COUNT), stop=["STOP"], allowed_openai_params=["stop"])
    same("content", answer.choices[0].message.content, "one two ")
    same("finish_reason", answer.choices[0].finish_reason, "stop")
    return {}


def max_tokens():
    answer = ask(user(COUNT), max_tokens=3)
    same("content", answer.choices[0].message.content, "one two three")
    same("finish_reason", answer.choices[0].finish_reason, "length")
    return {}


def reasoning():
    answer = ask(user(HELLO), extra_body={"reasoning": REASONING})
    same("content", answer.choices[0].message.content, ANSWER)
    same("reasoning_content", answer.choices[0].message.reasoning_content, "Thinking hard.")
    return {}


main(
    chat,
    stream,
    parse,
    tools,
    tools_stream,
    image,
    history,
    bad_key,
    errors,
    several,
    stop,
    max_tokens,
    reasoning,
)
