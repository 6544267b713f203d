"""Pydantic AI's agents."""

from openai import APIError, AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import (
    Agent,
    BinaryContent,
    ModelHTTPError,
    ModelRequest,
    ModelResponse,
    NativeOutput,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    UserPromptPart,
)
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from _scenario import *


class Person(BaseModel):
    name: str
    age: int


def agent(name=MODEL, key=API_KEY, **options):
    client = AsyncOpenAI(base_url=BASE_URL, api_key=key, max_retries=0)
    return Agent(OpenAIChatModel(name, provider=OpenAIProvider(openai_client=client)), **options)


def usage_of(usage):
    return [
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.output_tokens,
        usage.details["reasoning_tokens"],
        usage.total_tokens,
    ]


def chat():
    answer = agent(system_prompt=SYSTEM).run_sync(HELLO)
    same("output", answer.output, ANSWER)
    same("finish_reason", answer.response.finish_reason, "stop")
    same("usage", usage_of(answer.usage), [11, 3, 7, 2, 18])
    return {"output": answer.output}


async def stream():
    async with agent(system_prompt=SYSTEM).run_stream(HELLO) as answer:
        deltas = [text async for text in answer.stream_text(delta=True, debounce_by=None)]
    same("text", "".join(deltas), ANSWER)
    same("usage", usage_of(answer.usage), [11, 3, 7, 2, 18])
    return {"deltas": deltas}


def parse():
    answer = agent(output_type=NativeOutput(Person, strict=True)).run_sync(EXTRACT)
    same("output", answer.output, Person(name="Ada", age=36))
    return {}


def parse_tool():
    # What `output_type` means unless told otherwise: a tool that must be called.
    answer = agent(output_type=Person).run_sync(EXTRACT)
    same("output", answer.output, Person(name="Ada", age=36))
    return {}


def tools():
    answer = agent(tools=[get_weather]).run_sync(WEATHER)
    same("output", answer.output, WEATHER_ANSWER)
    return {}


async def tools_stream():
    kinds = set()

    # With a handler for events, every request of the run is a stream.
    async def watch(_context, events):
        async for event in events:
            kinds.add(event.event_kind)

    answer = await agent(tools=[get_weather]).run(WEATHER, event_stream_handler=watch)
    same("output", answer.output, WEATHER_ANSWER)
    same("events", {"part_delta", "function_tool_call", "function_tool_result"} <= kinds, True)
    return {"events": sorted(kinds)}


def image():
    picture = BinaryContent.from_data_uri(PNG)
    same("output", agent().run_sync([LOOK, picture]).output, ANSWER)
    return {}


def history():
    (_, system), (_, first), (_, said), (_, last) = HISTORY
    before = [
        ModelRequest(parts=[SystemPromptPart(system), UserPromptPart(first)]),
        ModelResponse(parts=[TextPart(said)]),
    ]
    same("output", agent().run_sync(last, message_history=before).output, ANSWER)
    return {}


async def errors():
    seen = {}
    cases = [
        ("bad_key", agent(key="pk-wrong"), 401),
        ("unknown", agent(name="no-such-model"), 404),
        ("busy", agent(), 429),
    ]
    for name, asked, status in cases:
        try:
            answer = await asked.run(HELLO)
        except ModelHTTPError as error:
            same(name, error.status_code, status)
            seen[name] = error.body
        else:
            raise SystemExit(f"{name}: {answer!r}")
    heard = []
    try:
        async with agent().run_stream(HELLO) as answer:
            async for text in answer.stream_text(delta=True, debounce_by=None):
                heard.append(text)
    # In the middle of a stream it lets the error of the openai package through.
    except APIError as error:
        same("class", type(error), APIError)
        same("heard", "Half an answer".startswith("".join(heard)) and heard != [], True)
        seen["cut"] = error.body
    else:
        raise SystemExit(f"the cut was not noticed: {heard}")
    return seen


def stop():
    answer = agent().run_sync(COUNT, model_settings={"stop_sequences": ["STOP"]})
    same("output", answer.output, "one two ")
    same("finish_reason", answer.response.finish_reason, "stop")
    return {}


def max_tokens():
    answer = agent().run_sync(COUNT, model_settings={"max_tokens": 3})
    same("output", answer.output, "one two three")
    same("finish_reason", answer.response.finish_reason, "length")
    return {}


def reasoning():
    answer = agent().run_sync(HELLO, model_settings={"extra_body": {"reasoning": REASONING}})
    same("output", answer.output, ANSWER)
    thoughts = [part.content for part in answer.response.parts if isinstance(part, ThinkingPart)]
    same("thinking", thoughts, ["Thinking hard."])
    return {}


main(
    chat, stream, parse, parse_tool, tools, tools_stream, image, history, errors, stop, max_tokens, reasoning
)
