"""Who may do what: API keys and their scopes. Pure: keys come as text, headers as a mapping.

    KEY SCOPES NAME        a key or its SHA-256 as sha256:HEX, scopes joined by commas, a name for logs
    # ...                  a comment

Scopes: infer (ask for predictions), read (models, metrics), admin (load and unload; has the other two as well). A key
comes as `Authorization: Bearer KEY` or `X-API-Key: KEY`. Only hashes are kept, and compared in constant time, all of
them: the time says nothing of how near a guess was, or at which line.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from inferir.errors import InvalidInputError
from inferir.server.errors import ForbiddenError, UnauthenticatedError

__all__ = ["ANYBODY", "Keys", "Principal", "Scope", "parse_keys"]

#: What a key may be allowed to do. None: the route is open to everybody.
Scope: TypeAlias = Literal["infer", "read", "admin"]

_SCOPES: tuple[str, ...] = get_args(Scope)
_HASHED = "sha256:"


@dataclass(frozen=True)
class Principal:
    """Somebody who may do what `scopes` says."""

    name: str
    scopes: frozenset[str]


#: Who asks where no keys are set.
ANYBODY = Principal("anybody", frozenset(_SCOPES))


def parse_keys(lines: Iterable[str], where: str) -> Keys:
    """The keys in the lines of a file. Raises InvalidInputError (E006), which never shows a key."""
    found: dict[bytes, Principal] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 3:
            raise InvalidInputError(f"{where}, line {number}: expected KEY SCOPES NAME, got {len(words)} words")
        key, scopes, name = words
        unknown = sorted(set(scopes.split(",")) - set(_SCOPES))
        if unknown:
            raise InvalidInputError(
                f"{where}, line {number}: expected scopes of {', '.join(_SCOPES)}, got {', '.join(unknown)}"
            )
        granted = frozenset(_SCOPES if "admin" in scopes.split(",") else scopes.split(","))
        found[_digest_of(key, f"{where}, line {number}")] = Principal(name, granted)
    return Keys(found)


def _digest_of(key: str, where: str) -> bytes:
    if not key.startswith(_HASHED):
        return hashlib.sha256(key.encode()).digest()
    try:
        digest = bytes.fromhex(key.removeprefix(_HASHED))
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise InvalidInputError(f"{where}: expected 64 hex digits after {_HASHED}")
    return digest


class Keys:
    """Digests of keys, and who has them. Without any, everybody may do everything."""

    def __init__(self, principals: Mapping[bytes, Principal]) -> None:
        self._principals = dict(principals)

    def __bool__(self) -> bool:
        return bool(self._principals)

    def authorize(self, headers: Mapping[str, Any], scope: Scope | None) -> Principal:
        """Who asks. Raises UnauthenticatedError (401) without a known key, ForbiddenError (403) without the scope."""
        if not self._principals or scope is None:
            return ANYBODY
        principal = self._find(_presented(headers))
        if principal is None:
            raise UnauthenticatedError(
                "expected a known API key, as Authorization: Bearer KEY or X-API-Key: KEY",
                {"WWW-Authenticate": 'Bearer realm="inferir"'},
            )
        if scope not in principal.scopes:
            raise ForbiddenError(f"expected a key with scope {scope!r}, got one with {sorted(principal.scopes)}")
        return principal

    def _find(self, key: str | None) -> Principal | None:
        if not key:
            return None
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        found = None
        for known, principal in self._principals.items():
            if hmac.compare_digest(known, digest):
                found = principal
        return found


def _presented(headers: Mapping[str, Any]) -> str | None:
    authorization = headers.get("Authorization")
    if authorization is not None:
        scheme, _, key = authorization.partition(" ")
        return key.strip() if scheme.lower() == "bearer" else None
    return headers.get("X-API-Key")
