"""OpenAI's own SDK for Python: pictures."""

import base64
import io

import openai

from _scenario import *

client = openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=2)
PROMPT = "a red circle on a blue background"
SIZE = "1536x1024"


def size_of(b64_json):
    """Width and height out of a PNG's own header."""
    png = base64.b64decode(b64_json, validate=True)
    same("signature", png[:8], b"\x89PNG\r\n\x1a\n")
    return f"{int.from_bytes(png[16:20], 'big')}x{int.from_bytes(png[20:24], 'big')}"


def generate():
    answer = client.images.generate(model="gpt-image-2", prompt=PROMPT, n=2, size=SIZE, quality="low")
    same("pictures", [size_of(picture.b64_json) for picture in answer.data], [SIZE, SIZE])
    same("said", (answer.size, answer.output_format, answer.background), (SIZE, "png", "opaque"))
    return len(answer.data)


def edit():
    png = base64.b64decode(PNG_BASE64)
    one = client.images.edit(image=("one.png", png), prompt=PROMPT)
    two = client.images.edit(image=[io.BytesIO(png), io.BytesIO(png)], prompt=PROMPT, n=1)
    same("pictures", [size_of(answer.data[0].b64_json) for answer in (one, two)], ["1024x1024"] * 2)
    return 2


def stream():
    events = list(client.images.generate(prompt=PROMPT, n=2, stream=True, partial_images=0))
    same("types", [event.type for event in events], ["image_generation.completed"] * 2)
    same("pictures", [size_of(event.b64_json) for event in events], ["1024x1024"] * 2)
    png = base64.b64decode(PNG_BASE64)
    events = list(client.images.edit(image=png, prompt=PROMPT, stream=True))
    same("types", [event.type for event in events], ["image_edit.completed"])
    return len(events)


def refused():
    error = fails(openai.BadRequestError, lambda: client.images.generate(prompt="forbidden"))
    same("error", (error.type, error.code), ("image_generation_user_error", "moderation_blocked"))
    # Not asked again: it would be paid again.
    error = fails(openai.InternalServerError, lambda: client.images.generate(prompt="decline"))
    same("error", (error.status_code, error.code), (502, "no_image_generated"))
    error = fails(openai.BadRequestError, lambda: client.images.generate(prompt=PROMPT, moderation="low"))
    same("error", (error.param, error.code), ("moderation", "unsupported_parameter"))
    return str(error)


main(generate, edit, stream, refused)
