"""OpenAI's own SDK for Python."""

import json

import openai
from pydantic import BaseModel

from _scenario import *

client = openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
SAY_HELLO = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": HELLO}]


class Person(BaseModel):
    name: str
    age: int


def user(content):
    return [{"role": "user", "content": content}]


def usage_of(usage):
    return [
        usage.prompt_tokens,
        usage.prompt_tokens_details.cached_tokens,
        usage.completion_tokens,
        usage.completion_tokens_details.reasoning_tokens,
        usage.total_tokens,
    ]


def chat():
    answer = client.chat.completions.create(model=MODEL, messages=SAY_HELLO)
    same("content", answer.choices[0].message.content, ANSWER)
    same("finish_reason", answer.choices[0].finish_reason, "stop")
    same("usage", usage_of(answer.usage), [11, 3, 7, 2, 18])
    if not (answer._request_id or "").startswith("req_"):
        raise SystemExit(f"request id: {answer._request_id!r}")
    return answer.to_dict(mode="json")


def stream():
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=SAY_HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    same("text", text, ANSWER)
    same("choices of the last chunk", chunks[-1].choices, [])
    same("usage", usage_of(chunks[-1].usage), [11, 3, 7, 2, 18])
    same("finish reasons", [c.choices[0].finish_reason for c in chunks if c.choices][-1], "stop")
    return {"text": text, "chunks": len(chunks)}


def stream_helper():
    kinds = []
    with client.chat.completions.stream(
        model=MODEL, messages=SAY_HELLO, stream_options={"include_usage": True}
    ) as events:
        for event in events:
            kinds.append(event.type)
        answer = events.get_final_completion()
    same("content", answer.choices[0].message.content, ANSWER)
    same("finish_reason", answer.choices[0].finish_reason, "stop")
    same("usage", usage_of(answer.usage), [11, 3, 7, 2, 18])
    same("content.done", kinds.count("content.done"), 1)
    return answer.to_dict(mode="json")


def parse():
    answer = client.chat.completions.parse(model=MODEL, messages=user(EXTRACT), response_format=Person)
    same("parsed", answer.choices[0].message.parsed, Person(name="Ada", age=36))
    return answer.to_dict(mode="json")


FUNCTION = {
    "name": "get_weather",
    "description": get_weather.__doc__,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
OFFERED = [{"type": "function", "function": FUNCTION}]


def round_trip(ask):
    messages = user(WEATHER)
    answer = ask(model=MODEL, messages=messages, tools=OFFERED)
    same("finish_reason", answer.choices[0].finish_reason, "tool_calls")
    message = answer.choices[0].message
    messages.append(message)
    for call in message.tool_calls:
        output = get_weather(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": output})
    final = ask(model=MODEL, messages=messages, tools=OFFERED)
    same("content", final.choices[0].message.content, WEATHER_ANSWER)
    return {"calls": [call.function.arguments for call in message.tool_calls]}


def tools():
    return round_trip(client.chat.completions.create)


def tools_stream():
    def ask(**options):
        with client.chat.completions.stream(**options) as events:
            return events.get_final_completion()

    return round_trip(ask)


def image():
    content = [{"type": "text", "text": LOOK}, {"type": "image_url", "image_url": {"url": PNG}}]
    answer = client.chat.completions.create(model=MODEL, messages=user(content))
    same("content", answer.choices[0].message.content, ANSWER)
    return {}


def history():
    messages = [{"role": role, "content": content} for role, content in HISTORY]
    answer = client.chat.completions.create(model=MODEL, messages=messages)
    same("content", answer.choices[0].message.content, ANSWER)
    return {}


def errors():
    def ask(to=client, model=MODEL, **options):
        return to.chat.completions.create(model=model, messages=user(HELLO), **options)

    bad_key = fails(openai.AuthenticationError, lambda: ask(client.with_options(api_key="pk-wrong")))
    same("code", (bad_key.status_code, bad_key.code), (401, "invalid_api_key"))
    unknown = fails(openai.NotFoundError, lambda: ask(model="no-such-model"))
    same("code", (unknown.code, unknown.param), ("model_not_found", "model"))
    busy = fails(openai.RateLimitError, ask)
    same("code", (busy.status_code, busy.code), (429, "rate_limit_exceeded"))

    heard = []

    def listen():
        for chunk in ask(stream=True):
            heard.append(chunk.choices[0].delta.content or "")

    # Not a subclass: those are for statuses, and the status of a stream was 200.
    cut = fails(openai.APIError, listen)
    same("class", type(cut), openai.APIError)
    same("heard", "".join(heard), "Half an answer"[: len("".join(heard))])
    if not heard:
        raise SystemExit("nothing was heard before the cut")
    return {"bad_key": bad_key.body, "unknown": unknown.body, "busy": busy.body, "cut": cut.body}


def models():
    names = [model.id for model in client.models.list()]
    same("the default model is listed", MODEL in names, True)
    same("one model", client.models.retrieve(MODEL).id, MODEL)
    return {"models": names}


def several():
    answer = client.chat.completions.create(model=MODEL, messages=user(COUNT), n=2)
    same("texts", sorted(choice.message.content for choice in answer.choices), ["one", "two"])
    same("indexes", [choice.index for choice in answer.choices], [0, 1])
    same("usage", usage_of(answer.usage), [22, 6, 14, 4, 36])
    return {}


def stop():
    answer = client.chat.completions.create(model=MODEL, messages=user(COUNT), stop=["STOP"])
    same("content", answer.choices[0].message.content, "one two ")
    same("finish_reason", answer.choices[0].finish_reason, "stop")
    return {}


def max_tokens():
    answer = client.chat.completions.create(model=MODEL, messages=user(COUNT), max_completion_tokens=3)
    same("content", answer.choices[0].message.content, "one two three")
    same("finish_reason", answer.choices[0].finish_reason, "length")
    return {}


def reasoning():
    answer = client.chat.completions.create(
        model=MODEL, messages=user(HELLO), extra_body={"reasoning": REASONING}
    )
    message = answer.choices[0].message
    same("content", message.content, ANSWER)
    same("reasoning_content", message.reasoning_content, "Thinking hard.")
    return {}


main(
    chat,
    stream,
    stream_helper,
    parse,
    tools,
    tools_stream,
    image,
    history,
    errors,
    models,
    several,
    stop,
    max_tokens,
    reasoning,
)
