"""HTML as text: elements whose text and attributes are escaped."""

from __future__ import annotations

from html import escape
from typing import Any

__all__ = ["Html", "element", "join", "page", "table"]


class Html(str):
    """Text that is HTML already. Everything else is escaped."""

    __slots__ = ()


#: Elements without content.
_VOID = {"input", "link", "meta"}


def element(name: str, /, *children: Any, **attributes: Any) -> Html:
    """`attributes` with a trailing or inner underscore lose it (`class_`) or have a dash there (`data_model`); True is
    an attribute without a value, None and False none at all.
    """
    written = "".join(
        f" {key.strip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{name}{written}>" if name in _VOID else f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Any) -> Html:
    """The children one after another."""
    return Html("".join(child if isinstance(child, Html) else escape(str(child)) for child in children))


def table(head: list[str], rows: list[list[Any]], **attributes: Any) -> Html:
    return element(
        "table",
        element("thead", element("tr", *[element("th", cell, scope="col") for cell in head])),
        element("tbody", *[element("tr", *[element("td", cell) for cell in row]) for row in rows]),
        **attributes,
    )


def page(title: str, *content: Any, scripts: tuple[str, ...] = (), styles: tuple[str, ...] = ("page.css",)) -> str:
    """A whole document with the header that all pages have."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        *[element("link", rel="stylesheet", href=f"page/{name}") for name in styles],
        *[element("script", src=f"page/{name}", defer=True) for name in scripts],
    )
    header = element(
        "header",
        element("a", "Inferir", href="./", class_="brand"),
        element("nav", element("a", "Models", href="./"), element("a", "API", href="docs"), aria_label="Pages"),
    )
    body = element("body", header, element("main", *content))
    return "<!doctype html>" + element("html", head, body, lang="en")
