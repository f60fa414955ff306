"""`/docs`: the OpenAPI document for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferir.server.openapi import TAGS
from inferir.server.page.html import Html, element, page, table

__all__ = ["docs_page"]

#: Types that hold themselves, or nearly, end here.
_DEEPEST = 6

_CURL = """curl localhost:8080/predict -d '{"features": [5.1, 3.5, 1.4, 0.2]}'"""


def docs_page(document: Mapping[str, Any]) -> str:
    """The page. Nothing of it comes from a request or a model."""
    tags: dict[str, list[Html]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tags.setdefault(operation["tags"][0], []).append(_operation(method, path, operation, document))
    return page(
        "Inferir: API",
        element("h1", "HTTP API"),
        element("p", "The same for programs: ", element("a", "openapi.json", href="openapi.json"), "."),
        element("pre", _CURL),
        *[element("section", element("h2", tag), *tags[tag]) for tag in TAGS if tag in tags],
    )


def _operation(method: str, path: str, operation: Mapping[str, Any], document: Mapping[str, Any]) -> Html:
    parts: list[Html] = []
    keys = [scope for each in operation.get("security", ()) for scopes in each.values() for scope in scopes]
    if keys:
        parts.append(element("p", f"Where API keys are set: a key that allows “{keys[0]}”.", class_="note"))
    parameters = [
        [parameter["name"], parameter["in"], parameter.get("description", "")]
        for parameter in operation.get("parameters", ())
    ]
    if parameters:
        parts.append(table(["Parameter", "In", ""], parameters))
    body = operation.get("requestBody")
    if body:
        parts.append(element("h4", "Request"))
        parts += _contents(body["content"], document)
    parts.append(element("h4", "Answer"))
    parts += _contents(operation["responses"]["200"].get("content", {}), document) or [element("p", "No body.")]
    failures = [
        [status, response["description"]] for status, response in operation["responses"].items() if status != "200"
    ]
    parts.append(element("h4", "Errors"))
    parts.append(table(["Status", ""], failures))
    summary = element(
        "summary",
        element("code", method.upper(), class_=f"method {method}"),
        " ",
        element("code", path),
        " ",
        operation["summary"],
    )
    return element("details", summary, *parts, class_="operation", id=operation["operationId"])


def _contents(contents: Mapping[str, Any], document: Mapping[str, Any]) -> list[Html]:
    return [
        element("div", element("code", kind), element("pre", _shape(content["schema"], document, 0)))
        for kind, content in contents.items()
    ]


def _shape(schema: Mapping[str, Any], document: Mapping[str, Any], depth: int) -> str:
    """A schema as one would write it down: names, kinds, and what is optional."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if depth > _DEEPEST:
        return "…"
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_shape(each, document, depth + 1) for each in schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(map(repr, schema["enum"]))
    kind = schema.get("type", "any")
    if kind == "object" and "properties" in schema:
        required = schema.get("required", ())
        indent = "  " * (depth + 1)
        lines = [
            f"{indent}{name}{'' if name in required else '?'}: {_shape(each, document, depth + 1)}"
            for name, each in schema["properties"].items()
        ]
        return "{\n" + "\n".join(lines) + "\n" + "  " * depth + "}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return "{name: %s}" % (_shape(values, document, depth + 1) if isinstance(values, Mapping) else "any")
    if kind == "array":
        items = schema.get("items")
        return f"[{_shape(items, document, depth) if isinstance(items, Mapping) else 'any'}, …]"
    return " | ".join(kind) if isinstance(kind, list) else str(kind)
