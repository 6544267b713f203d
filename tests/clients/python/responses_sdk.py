"""The Responses API by OpenAI's own SDK for Python, by LangChain's `ChatOpenAI` and by OpenAI's Agents SDK."""

import json
import os
import time

# Traces go to OpenAI otherwise.
os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"

import openai
from pydantic import BaseModel

from _scenario import *

client = openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)


class Person(BaseModel):
    name: str
    age: int


def ask(input=HELLO, **options):
    return client.responses.create(model=MODEL, input=input, **options)


def usage_of(usage):
    return [
        usage.input_tokens,
        usage.input_tokens_details.cached_tokens,
        usage.output_tokens,
        usage.output_tokens_details.reasoning_tokens,
        usage.total_tokens,
    ]


def answered(response):
    same("text", response.output_text, ANSWER)
    same("status", (response.status, response.error, response.incomplete_details), ("completed", None, None))
    same("usage", usage_of(response.usage), [11, 3, 7, 2, 18])
    return response.to_dict(mode="json")


def create():
    response = ask()
    if not (response._request_id or "").startswith("req_"):
        raise SystemExit(f"request id: {response._request_id!r}")
    return answered(response)


def items():
    input = [{"role": role, "content": text} for role, text in HISTORY[1:]]
    response = ask(input, instructions=SYSTEM, metadata={"a": "b"})
    same("echo", (response.instructions, response.metadata), (SYSTEM, {"a": "b"}))
    return answered(response)


# What every stream of one text has; of the deltas there may be more or fewer.
TEXT_EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


def without_repeats(names):
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


def stream():
    events = list(ask(instructions=SYSTEM, stream=True))
    same("events", without_repeats([event.type for event in events]), TEXT_EVENTS)
    same("numbers", [event.sequence_number for event in events], list(range(len(events))))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    same("text", "".join(deltas), ANSWER)
    return answered(events[-1].response)


def stream_helper():
    names, snapshot = [], ""
    with client.responses.stream(model=MODEL, instructions=SYSTEM, input=HELLO) as events:
        for event in events:
            names.append(event.type)
            if event.type == "response.output_text.delta":
                snapshot = event.snapshot
        response = events.get_final_response()
    same("events", without_repeats(names), TEXT_EVENTS)
    same("snapshot", snapshot, ANSWER)
    return answered(response)


def parse():
    response = client.responses.parse(model=MODEL, input=EXTRACT, text_format=Person)
    same("parsed", response.output_parsed, Person(name="Ada", age=36))
    return response.to_dict(mode="json")


def parse_stream():
    with client.responses.stream(model=MODEL, input=EXTRACT, text_format=Person) as events:
        response = events.until_done().get_final_response()
    same("parsed", response.output_parsed, Person(name="Ada", age=36))
    return {}


OFFERED = [
    {
        "type": "function",
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
]


def outputs_of(response):
    calls = [item for item in response.output if item.type == "function_call"]
    same("calls", [(call.call_id, call.name) for call in calls], [(f"call_{x}", "get_weather") for x in "ab"])
    said = [item.type for item in response.output if item.type != "reasoning"]
    same("kinds", said, ["message", "function_call", "function_call"])
    return [
        {
            "type": "function_call_output",
            "call_id": call.call_id,
            "output": get_weather(**json.loads(call.arguments)),
        }
        for call in calls
    ]


def tools():
    """Goes on by the id of the answer."""
    first = ask(WEATHER, tools=OFFERED)
    final = ask(outputs_of(first), tools=OFFERED, previous_response_id=first.id)
    same("text", final.output_text, WEATHER_ANSWER)
    same("previous", final.previous_response_id, first.id)
    return {}


def tools_replayed():
    """Keeps the conversation itself."""
    input = [{"role": "user", "content": WEATHER}]
    first = ask(input, tools=OFFERED, store=False, include=["reasoning.encrypted_content"])
    input += first.output
    input += outputs_of(first)
    final = ask(input, tools=OFFERED, store=False)
    same("text", final.output_text, WEATHER_ANSWER)
    return {}


def tools_stream():
    def listen(**options):
        with client.responses.stream(model=MODEL, tools=OFFERED, **options) as events:
            for event in events:
                if event.type == "response.function_call_arguments.done":
                    arguments.append(event.arguments)
            return events.get_final_response()

    arguments = []
    first = listen(input=WEATHER)
    same("arguments", arguments, [item.arguments for item in first.output if item.type == "function_call"])
    final = listen(input=outputs_of(first), previous_response_id=first.id)
    same("text", final.output_text, WEATHER_ANSWER)
    return {}


def polled(response):
    until = time.monotonic() + 20
    while response.status in ("queued", "in_progress"):
        if time.monotonic() > until:
            raise SystemExit(f"still {response.status}")
        time.sleep(0.05)
        response = client.responses.retrieve(response.id)
    return response


def background():
    response = ask(background=True)
    same("status", (response.status, response.background, response.output), ("queued", True, []))
    return answered(polled(response))


def cancel():
    response = ask(background=True)
    while client.responses.retrieve(response.id).status == "queued":
        time.sleep(0.05)
    cancelled = client.responses.cancel(response.id)
    same("status", cancelled.status, "cancelled")
    same("kept", client.responses.retrieve(response.id).status, "cancelled")
    return {}


def retrieve_stream():
    events = []
    for event in ask(background=True, stream=True):
        events.append(event)
        if event.type == "response.output_text.delta":
            break
    id = events[0].response.id
    events += client.responses.retrieve(id, stream=True, starting_after=events[-1].sequence_number)
    same("numbers", [event.sequence_number for event in events], list(range(len(events))))
    same("events", without_repeats([event.type for event in events]), TEXT_EVENTS)
    again = list(client.responses.retrieve(id, stream=True))
    same("again", [event.type for event in again], [event.type for event in events])
    return answered(events[-1].response)


def input_items():
    response = ask([{"role": "user", "content": f"{number}"} for number in range(5)])
    texts = []
    page = client.responses.input_items.list(response.id, limit=2, order="asc")
    same("a page", (len(page.data), page.has_more), (2, True))
    for item in page:
        same("item", (item.type, item.role), ("message", "user"))
        texts.append(item.content[0].text)
    same("texts", texts, list("01234"))
    newest = client.responses.input_items.list(response.id, limit=1).data[0]
    same("newest first", newest.content[0].text, "4")
    return answered(client.responses.retrieve(response.id))


def delete():
    response = ask()
    same("deleted", client.responses.delete(response.id), None)
    gone = fails(openai.NotFoundError, lambda: client.responses.retrieve(response.id))
    return gone.body


def conversations():
    message = {"type": "message", "role": "user", "content": "My name is Ada."}
    made = client.conversations.create(metadata={"a": "b"}, items=[message])
    same("made", (made.object, made.metadata), ("conversation", {"a": "b"}))
    same("retrieved", client.conversations.retrieve(made.id), made)
    same("updated", client.conversations.update(made.id, metadata={"c": "d"}).metadata, {"c": "d"})

    response = ask(conversation=made.id)
    same("conversation", response.conversation.id, made.id)
    items = list(client.conversations.items.list(made.id, order="asc", limit=1))
    texts = [item.content[0].text for item in items]
    same("texts", texts, ["My name is Ada.", HELLO, ANSWER])
    same("roles", [item.role for item in items], ["user", "user", "assistant"])

    added = client.conversations.items.create(made.id, items=[{"role": "user", "content": "More."}])
    same("added", [item.content[0].text for item in added.data], ["More."])
    one = added.data[0]
    same("one", client.conversations.items.retrieve(one.id, conversation_id=made.id), one)
    same("after", client.conversations.items.delete(one.id, conversation_id=made.id).id, made.id)
    fails(openai.NotFoundError, lambda: client.conversations.items.retrieve(one.id, conversation_id=made.id))

    gone = client.conversations.delete(made.id)
    same("deleted", (gone.id, gone.deleted, gone.object), (made.id, True, "conversation.deleted"))
    fails(openai.NotFoundError, lambda: client.conversations.retrieve(made.id))
    return {}


def errors():
    other = client.with_options(api_key="pk-wrong")
    bad_key = fails(openai.AuthenticationError, lambda: other.responses.create(model=MODEL, input=HELLO))
    same("code", bad_key.code, "invalid_api_key")
    unknown = fails(openai.NotFoundError, lambda: client.responses.create(model="no-such-model", input=HELLO))
    same("code", (unknown.code, unknown.param), ("model_not_found", "model"))
    previous = fails(openai.BadRequestError, lambda: ask(previous_response_id="resp_none"))
    same("code", (previous.code, previous.param), ("previous_response_not_found", "previous_response_id"))
    nowhere = fails(openai.NotFoundError, lambda: client.responses.retrieve("resp_none"))
    busy = fails(openai.RateLimitError, ask)
    same("code", (busy.status_code, busy.code), (429, "rate_limit_exceeded"))
    # A failure in mid-stream is an event, as at OpenAI; nothing is raised.
    last = list(ask(stream=True))[-1]
    same("last", (last.type, last.response.status), ("response.failed", "failed"))
    same("code", last.response.error.code, "server_error")
    return {"previous": previous.body, "nowhere": nowhere.body}


def langchain():
    from langchain_openai import ChatOpenAI

    settings = {"model": MODEL, "base_url": BASE_URL, "api_key": API_KEY, "max_retries": 0}
    return lambda **options: ChatOpenAI(use_responses_api=True, **(settings | options))


SAY_HELLO = [("system", SYSTEM), ("user", HELLO)]


def langchain_answered(message):
    same("text", message.text, ANSWER)
    usage = message.usage_metadata
    same("usage", [usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]], [11, 7, 18])
    same("status", message.response_metadata["status"], "completed")
    return {"content": message.content, "metadata": message.response_metadata}


def langchain_invoke():
    return langchain_answered(langchain()().invoke(SAY_HELLO))


def whole(chunks):
    chunks = list(chunks)
    message = chunks[0]
    for chunk in chunks[1:]:
        message += chunk
    return message


def langchain_stream():
    return langchain_answered(whole(langchain()().stream(SAY_HELLO)))


def langchain_round_trip(ask):
    from langchain_core.messages import HumanMessage
    from langchain_core.tools import tool

    offered = tool(get_weather)
    messages = [HumanMessage(WEATHER)]
    while True:
        answer = ask([offered], messages)
        messages.append(answer)
        if not answer.tool_calls:
            break
        messages += [offered.invoke(call) for call in answer.tool_calls]
    same("text", answer.text, WEATHER_ANSWER)
    same("messages", len(messages), 5)
    return {}


def langchain_tools():
    return langchain_round_trip(lambda tools, messages: langchain()().bind_tools(tools).invoke(messages))


def langchain_tools_stream():
    return langchain_round_trip(
        lambda tools, messages: whole(langchain()().bind_tools(tools).stream(messages))
    )


def langchain_tools_by_id():
    """Sends only what is new, with the id of the last answer."""
    make = lambda tools: langchain()(use_previous_response_id=True).bind_tools(tools)
    return langchain_round_trip(lambda tools, messages: make(tools).invoke(messages))


def agent(**options):
    from agents import Agent, OpenAIResponsesModel, function_tool

    other = openai.AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
    model = OpenAIResponsesModel(MODEL, other)
    return Agent("Assistant", instructions=SYSTEM, model=model, tools=[function_tool(get_weather)], **options)


def agents_answered(result):
    same("final", result.final_output, WEATHER_ANSWER)
    outputs = [item.output for item in result.new_items if item.type == "tool_call_output_item"]
    same("outputs", outputs, ["sun in Paris", "rain in Rome"])
    same("turns", len(result.raw_responses), 2)
    return {}


async def agents():
    from agents import Runner

    return agents_answered(await Runner.run(agent(), WEATHER))


async def agents_stream():
    from agents import Runner

    result = Runner.run_streamed(agent(), WEATHER)
    async for _ in result.stream_events():
        pass
    return agents_answered(result)


async def agents_by_id():
    from agents import Runner

    return agents_answered(await Runner.run(agent(), WEATHER, auto_previous_response_id=True))


async def agents_typed():
    """An answer with a type of its own."""
    from agents import Runner

    typed = agent(output_type=Person)
    typed.tools = []
    same("final", (await Runner.run(typed, EXTRACT)).final_output, Person(name="Ada", age=36))
    return {}


main(
    create,
    items,
    stream,
    stream_helper,
    parse,
    parse_stream,
    tools,
    tools_replayed,
    tools_stream,
    background,
    cancel,
    retrieve_stream,
    input_items,
    delete,
    conversations,
    errors,
    langchain_invoke,
    langchain_stream,
    langchain_tools,
    langchain_tools_stream,
    langchain_tools_by_id,
    agents,
    agents_stream,
    agents_by_id,
    agents_typed,
)
