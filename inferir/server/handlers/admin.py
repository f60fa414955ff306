"""PUT and DELETE /models/aliases/{alias}: other names of models, moved at run time.

Loading and unloading are routes of the Open Inference Protocol; it has none for aliases.
"""

from __future__ import annotations

import msgspec

from inferir.errors import InvalidInputError
from inferir.server.parts import Parts
from inferir.server.request.exchange import Exchange
from inferir.server.request.replies import Reply, json_reply
from inferir.server.schemas import ModelId

__all__ = ["AdminHandlers", "Alias", "AliasBody"]


class AliasBody(msgspec.Struct):
    """What an alias is to point to: a name, or name@version."""

    model_id: ModelId


class Alias(msgspec.Struct):
    """An alias, and the version that answers for it; "" where it was taken away."""

    alias: str
    model_id: str


_decode = msgspec.json.Decoder(AliasBody).decode


class AdminHandlers:
    """Changes that are made by request."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def put_alias(self, exchange: Exchange) -> Reply:
        try:
            body = _decode(exchange.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInputError(f'expected {{"model_id": "name@version"}}, got: {error}') from None
        alias = exchange.match["alias"]
        await self._parts.admin.alias(alias, body.model_id)
        return json_reply(Alias(alias, self._parts.registry.resolve(alias).reference))

    async def delete_alias(self, exchange: Exchange) -> Reply:
        alias = exchange.match["alias"]
        await self._parts.admin.alias(alias, "")
        return json_reply(Alias(alias, ""))
