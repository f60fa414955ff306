"""What a route is, and how a path finds its own. The table itself is put together in app.py."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias
from urllib.parse import unquote

from inferir.server.errors import NotAllowedError, NotFoundError
from inferir.server.request.auth import Scope
from inferir.server.request.exchange import NO_MATCH, Exchange
from inferir.server.request.replies import Reply

__all__ = ["UNMATCHED", "Handler", "Route", "Router"]

#: A handler has the whole body in `exchange.body`, and answers at once or later. It raises RequestError or InferirError
#: where there is no answer; nothing else is meant for the client.
Handler: TypeAlias = Callable[[Exchange], Reply | Awaitable[Reply]]


@dataclass(frozen=True, eq=False)
class Route:
    """One line of the HTTP API. Equal to itself only, so that it may be a key without all of it being hashed.

    method, path   "GET", "/v2/models/{name}/ready". A {parameter} takes one segment of the path, {parameter*} the rest.
    handler        see Handler.
    scope          what a key has to allow; None: open.
    admitted       whether it takes a place among the requests in work, and may be shed. Probes and metrics never are.
    plain_errors   whether "error" in the body of an error is the whole message (Open Inference Protocol and its
                   clients read it) and not the word for it.
    """

    method: str
    path: str
    handler: Handler
    scope: Scope | None
    admitted: bool = False
    plain_errors: bool = False


async def _nothing(exchange: Exchange) -> Reply:
    raise NotFoundError("no such path")


#: Where requests are counted that have no route: their paths must not become labels.
UNMATCHED = Route("*", "unmatched", _nothing, None)


#: Paths with parameters whose routes are remembered: there are as many as models, and clients that make up others.
_REMEMBERED = 256


class Router:
    """Finds a request's route. Paths without parameters are one look into a dict."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._fixed: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        self._remembered: dict[str, tuple[dict[str, Route], Mapping[str, str]]] = {}
        patterns: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            table = patterns if "{" in route.path else self._fixed
            methods = table.setdefault(route.path, {})
            if route.method in methods:
                raise ValueError(f"{route.method} {route.path} is there twice")
            methods[route.method] = route
            if route.method == "GET":
                methods.setdefault("HEAD", route)
        self._patterns = [(_compiled(path), methods) for path, methods in patterns.items()]

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]]:
        """The route of a request, and the values of its parameters, percent-decoded.

        Raises NotFoundError, or NotAllowedError with an Allow header.
        """
        methods = self._fixed.get(path)
        match: Mapping[str, str] = NO_MATCH
        if methods is None:
            path = _origin_form(path).partition("?")[0].partition("#")[0]
            methods = self._fixed.get(path)
        if methods is None:
            found = self._remembered.get(path)
            if found is None:
                found = self._parametric(path)
                if len(self._remembered) < _REMEMBERED:
                    self._remembered[path] = found
            methods, match = found
        route = methods.get(method)
        if route is None:
            allowed = ", ".join(sorted(methods))
            raise NotAllowedError(f"expected {allowed}, got {method[:20]}", {"Allow": allowed})
        return route, match

    def _parametric(self, path: str) -> tuple[dict[str, Route], Mapping[str, str]]:
        for pattern, methods in self._patterns:
            found = pattern.fullmatch(path)
            if found:
                return methods, MappingProxyType({name: unquote(text) for name, text in found.groupdict().items()})
        raise NotFoundError(f"no such path: {path[:200]}")


def _origin_form(target: str) -> str:
    """Path and query of a request's target, which may be a URL with a host (RFC 9112, 3.2.2)."""
    scheme, _, rest = target.partition("://")
    if not scheme.isalpha() or not rest:
        return target
    host = re.split("[/?#]", rest, maxsplit=1)[0]
    return "/" + rest[len(host) :].removeprefix("/")


def _compiled(path: str) -> re.Pattern[str]:
    parts: list[Any] = re.split(r"\{(\w+\*?)\}", path)
    for k in range(1, len(parts), 2):
        name = parts[k]
        parts[k] = f"(?P<{name[:-1]}>.+)" if name.endswith("*") else f"(?P<{name}>[^/]+)"
    for k in range(0, len(parts), 2):
        parts[k] = re.escape(parts[k])
    return re.compile("".join(parts))
