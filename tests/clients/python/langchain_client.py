"""LangChain's `ChatOpenAI`."""

import openai
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from _scenario import *


class Person(BaseModel):
    name: str
    age: int


def model(**options):
    settings = {"model": MODEL, "base_url": BASE_URL, "api_key": API_KEY, "max_retries": 0}
    return ChatOpenAI(use_responses_api=False, **(settings | options))


SAY_HELLO = [SystemMessage(SYSTEM), HumanMessage(HELLO)]


def usage_of(message):
    usage = message.usage_metadata
    return [
        usage["input_tokens"],
        usage["input_token_details"]["cache_read"],
        usage["output_tokens"],
        usage["output_token_details"]["reasoning"],
        usage["total_tokens"],
    ]


def chat():
    answer = model().invoke(SAY_HELLO)
    same("content", answer.content, ANSWER)
    same("finish_reason", answer.response_metadata["finish_reason"], "stop")
    same("usage", usage_of(answer), [11, 3, 7, 2, 18])
    return {"id": answer.id}


def stream():
    chunks = list(model(stream_usage=True).stream(SAY_HELLO))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    same("text", whole.text, ANSWER)
    same("finish_reason", whole.response_metadata["finish_reason"], "stop")
    same("usage", usage_of(whole), [11, 3, 7, 2, 18])
    return {"chunks": len(chunks)}


def parse():
    person = model().with_structured_output(Person, method="json_schema", strict=True).invoke(EXTRACT)
    same("parsed", person, Person(name="Ada", age=36))
    return {"parsed": person.model_dump()}


def tools():
    offered = tool(get_weather)
    bound = model().bind_tools([offered])
    messages = [HumanMessage(WEATHER)]
    answer = bound.invoke(messages)
    messages.append(answer)
    for call in answer.tool_calls:
        message = offered.invoke(call)
        same("class", type(message), ToolMessage)
        messages.append(message)
    same("content", bound.invoke(messages).content, WEATHER_ANSWER)
    return {"calls": [call["args"] for call in answer.tool_calls]}


def tools_stream():
    offered = tool(get_weather)
    bound = model().bind_tools([offered])
    messages = [HumanMessage(WEATHER)]
    while True:
        chunks = list(bound.stream(messages))
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole += chunk
        if not whole.tool_calls:
            break
        messages += [whole, *(offered.invoke(call) for call in whole.tool_calls)]
    same("text", whole.text, WEATHER_ANSWER)
    same("messages", len(messages), 4)
    return {}


def image():
    content = [
        {"type": "text", "text": LOOK},
        {"type": "image", "base64": PNG_BASE64, "mime_type": "image/png"},
    ]
    same("content", model().invoke([HumanMessage(content)]).content, ANSWER)
    return {}


def history():
    classes = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    messages = [classes[role](content) for role, content in HISTORY]
    same("content", model().invoke(messages).content, ANSWER)
    return {}


def errors():
    bad_key = fails(openai.AuthenticationError, lambda: model(api_key="pk-wrong").invoke(HELLO))
    unknown = fails(openai.NotFoundError, lambda: model(model="no-such-model").invoke(HELLO))
    busy = fails(openai.RateLimitError, lambda: model().invoke(HELLO))
    heard = []
    cut = fails(openai.APIError, lambda: heard.extend(chunk.text for chunk in model().stream(HELLO)))
    same("class", type(cut), openai.APIError)
    return {"bad_key": bad_key.code, "unknown": unknown.code, "busy": busy.code, "cut": cut.code}


def several():
    result = model(n=2).generate([[HumanMessage(COUNT)]])
    same("texts", sorted(generation.text for generation in result.generations[0]), ["one", "two"])
    same("usage", result.llm_output["token_usage"]["total_tokens"], 36)
    return {}


def stop():
    answer = model().invoke(COUNT, stop=["STOP"])
    same("content", answer.content, "one two ")
    same("finish_reason", answer.response_metadata["finish_reason"], "stop")
    return {}


def max_tokens():
    answer = model(max_tokens=3).invoke(COUNT)
    same("content", answer.content, "one two three")
    same("finish_reason", answer.response_metadata["finish_reason"], "length")
    return {}


def reasoning():
    # ChatOpenAI does not show `reasoning_content`; it asks for the reasoning and reads past it.
    answer = model(extra_body={"reasoning": REASONING}).invoke(HELLO)
    same("content", answer.content, ANSWER)
    return {}


main(
    chat, stream, parse, tools, tools_stream, image, history, errors, several, stop, max_tokens, reasoning
)
