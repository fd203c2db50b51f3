"""Every route of the gateway and what it takes and answers, as its OpenAPI has it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, cast

from streamrec.apps.gateway.app import gateway_app
from streamrec.apps.gateway.context import GatewayContext
from streamrec.settings import load
from tests.reference.markdown import code, page, plain, table

INTRO = """\
As `/openapi.json` says it to programs (OpenAPI 3.1) and `/docs` of a running gateway to people. Who
may call what, with examples: [over HTTP](../http.md). Times are milliseconds since 1970. An answer
of another status than 200 is a problem document.
"""

Node = Mapping[str, Any]


def http_page() -> str:
    """docs/reference/http.md"""
    described = openapi()
    return page("HTTP", INTRO, *routes(described), *models(described))


def openapi() -> Node:
    """Of an application that nobody asks: it reaches neither Kafka nor Redis."""
    monitor = SimpleNamespace(meter=None)
    context = SimpleNamespace(settings=load({}), monitor=monitor)
    return gateway_app(cast("GatewayContext", context)).openapi()


def routes(described: Node) -> Iterator[str]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield route(f"{method.upper()} {path}", operation)


def route(name: str, operation: Node) -> str:
    rows = [
        (code(one["name"]), one["in"], type_name(one["schema"]), default(one["schema"]))
        for one in operation.get("parameters", ())
    ]
    return "\n".join(
        [
            f"## {name}\n",
            plain(operation.get("description", "")) + "\n",
            table(("parameter", "in", "type", "default"), rows),
            bodies(operation),
        ]
    )


def bodies(operation: Node) -> str:
    """What is sent, and what comes back."""
    sent = described_content(operation.get("requestBody", {}).get("content", {}))
    answered = described_content(operation["responses"].get("200", {}).get("content", {}))
    others = sorted(status for status in operation["responses"] if status != "200")
    lines = [f"Body: {sent}." if sent else "", f"200: {answered}." if answered else ""]
    lines.append(f"Else: {', '.join(others)}." if others else "")
    return " ".join(line for line in lines if line) + "\n"


def described_content(content: Node) -> str:
    """Types of models, with the media type where it is not JSON."""
    found = []
    for media, body in content.items():
        name = type_name(body.get("schema", {}))
        found.append(name if media == "application/json" else f"{name} (`{media}`)")
    return " or ".join(found)


def models(described: Node) -> Iterator[str]:
    for name, model in sorted(described["components"]["schemas"].items()):
        required = model.get("required", ())
        rows = [
            (
                code(field),
                type_name(shape),
                "required" if field in required else default(shape),
                plain(shape.get("description", "")),
            )
            for field, shape in model.get("properties", {}).items()
        ]
        told = plain(model.get("description", ""))
        fields = table(("field", "type", "default", "meaning"), rows)
        yield "\n".join([f"## {name}\n", *([f"{told}\n"] if told else []), fields])


def default(shape: Node) -> str:
    return code(json.dumps(shape["default"])) if "default" in shape else ""


LIMITS = {"minimum": "from", "maximum": "to", "minLength": "at least", "maxLength": "at most"}


def type_name(shape: Node) -> str:
    """In words, with a link where it is one of the models."""
    if "$ref" in shape:
        name = shape["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    for choice in ("anyOf", "oneOf"):
        if choice in shape:
            return " or ".join(dict.fromkeys(type_name(one) for one in shape[choice]))
    if "enum" in shape:
        return "one of " + ", ".join(map(str, shape["enum"]))
    if shape.get("type") == "array":
        return f"array of {type_name(shape.get('items', {}))}"
    limits = [f"{word} {shape[name]}" for name, word in LIMITS.items() if name in shape]
    return " ".join([str(shape.get("type", "anything")), *limits])
