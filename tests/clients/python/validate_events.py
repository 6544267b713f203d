"""Holds events of `/v1/responses` against the types of OpenAI's own SDK.

Reads one event a line (JSON) from its standard input and prints one line of JSON: the events' types in order, how many
responses they held, every fault, and every field that the SDK's types do not know. The SDK itself does not look: it
constructs what it reads without checking.
"""

import json
import sys
import typing

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter, ValidationError

union = typing.get_args(ResponseStreamEvent)[0]
# By its name, so that a fault is told of one type and not of all.
TYPES = {
    typing.get_args(kind.model_fields["type"].annotation)[0]: TypeAdapter(kind)
    for kind in typing.get_args(union)
}
ANY = TypeAdapter(ResponseStreamEvent)
RESPONSE = TypeAdapter(Response)


def unknown(value, path):
    """The fields that were read and that no type has."""
    if isinstance(value, BaseModel):
        yield from (f"{path}.{name}" for name in value.model_extra or {})
        for name in type(value).model_fields:
            yield from unknown(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for member in value:
            yield from unknown(member, f"{path}[]")


def check(kind, value, path):
    try:
        extra.update(unknown(kind.validate_python(value, strict=False), path))
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_context=False):
            place = ".".join(str(part) for part in fault["loc"])
            faults.append(f"{path}: {place}: {fault['msg']} (was {json.dumps(fault['input'])[:200]})")


names, faults, extra, responses = [], [], set(), 0
for number, line in enumerate(sys.stdin):
    event = json.loads(line)
    name = event["type"]
    names.append(name)
    if event["sequence_number"] != number:
        faults.append(f"{name}: the number is {event['sequence_number']}, not {number}")
    if name not in TYPES:
        faults.append(f"{name}: no such event")
        continue
    before = len(faults)
    check(TYPES[name], event, name)
    if len(faults) == before:
        check(ANY, event, name)
    if "response" in event:
        responses += 1
        check(RESPONSE, event["response"], f"{name}.response")
print(json.dumps({"events": names, "responses": responses, "faults": faults, "unknown": sorted(extra)}))
