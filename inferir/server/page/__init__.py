"""Pages for people: `/`, what the server does now; `/docs`, what it can be asked. Both work offline.

    html.py       elements as text, escaped
    overview.py   models, numbers, a form for every model
    live.py       numbers for the plots
    docs.py       the API, from its OpenAPI document
    static/       style, script, and uPlot 1.6.32 (MIT, see uplot.LICENSE)

Without JavaScript the pages can be read; plots and forms need it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inferir.server.openapi import document
from inferir.server.page.docs import docs_page
from inferir.server.page.live import live
from inferir.server.page.overview import models_fragment, overview_page
from inferir.server.parts import Parts
from inferir.server.request.exchange import Exchange
from inferir.server.request.replies import Reply, json_reply
from inferir.server.request.routes import Route

__all__ = ["routes"]

_STATIC = Path(__file__).parent / "static"

#: File -> content type.
_FILES = {
    "page.js": "text/javascript",
    "page.css": "text/css",
    "uplot.js": "text/javascript",
    "uplot.css": "text/css",
}

#: Nothing from elsewhere, nothing inline, nobody else's frame.
_POLICY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def routes(parts: Parts, api: Sequence[Route]) -> list[Route]:
    """The pages' routes; `api` are those that are described. None where the settings ask for no pages."""
    return PageHandlers(parts, api).routes() if parts.settings.docs else []


class PageHandlers:
    """Handlers of the pages."""

    def __init__(self, parts: Parts, api: Sequence[Route]) -> None:
        self._parts = parts
        self._files = {
            name: Reply((_STATIC / name).read_bytes(), content_type=f"{kind}; charset=utf-8", headers=_POLICY)
            for name, kind in _FILES.items()
        }
        about = [*api, Route("GET", "/openapi.json", self.openapi, None)]
        described = document(about)
        self._openapi = json_reply(described)
        self._docs = _html(docs_page(described))
        self._keys = bool(parts.settings.api_keys or parts.settings.api_keys_file)

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/", self.overview, None),
            Route("GET", "/docs", self.docs, None),
            Route("GET", "/openapi.json", self.openapi, None),
            Route("GET", "/page/models", self.models, "read"),
            Route("GET", "/page/live", self.live, "read"),
            *[Route("GET", f"/page/{name}", self.file, None) for name in _FILES],
        ]

    async def overview(self, exchange: Exchange) -> Reply:
        """Where keys are needed, the page comes without models: its script asks for a key, and then for them."""
        if self._keys:
            return _html(overview_page(None))
        return _html(overview_page(models_fragment(self._parts, await live(self._parts))))

    async def models(self, exchange: Exchange) -> Reply:
        return _html(models_fragment(self._parts, await live(self._parts)))

    async def live(self, exchange: Exchange) -> Reply:
        return json_reply(await live(self._parts))

    def docs(self, exchange: Exchange) -> Reply:
        return self._docs

    def openapi(self, exchange: Exchange) -> Reply:
        return self._openapi

    def file(self, exchange: Exchange) -> Reply:
        return self._files[exchange.route.path.rpartition("/")[2]]


def _html(text: str) -> Reply:
    return Reply(text.encode(), content_type="text/html; charset=utf-8", headers=_POLICY)
