"""Keys and scopes."""

from __future__ import annotations

import hashlib

import pytest

from inferir.errors import InvalidInputError
from inferir.server.errors import ForbiddenError, UnauthenticatedError
from inferir.server.request.auth import ANYBODY, Keys, parse_keys

LINES = ["# ours", "", "k1 infer alice", "k2 infer,read bob", f"sha256:{hashlib.sha256(b'k3').hexdigest()} admin carol"]


def test_who_may_what() -> None:
    keys = parse_keys(LINES, "keys")
    assert keys.authorize({"X-API-Key": "k1"}, "infer").name == "alice"
    assert keys.authorize({"Authorization": "bearer k2"}, "read").name == "bob"
    assert keys.authorize({"X-API-Key": "k3"}, "infer").name == "carol"  # admin has the other two
    with pytest.raises(ForbiddenError, match="expected a key with scope 'admin'"):
        keys.authorize({"X-API-Key": "k2"}, "admin")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "k"},
        {"Authorization": "k1"},
        {"Authorization": "Basic k1"},
        {"X-API-Key": "\udcff"},
    ],
)
def test_who_is_not_known(headers: dict[str, str]) -> None:
    with pytest.raises(UnauthenticatedError) as caught:
        parse_keys(LINES, "keys").authorize(headers, "infer")
    assert caught.value.headers["WWW-Authenticate"].startswith("Bearer")


def test_open_routes_and_servers_without_keys() -> None:
    assert parse_keys(LINES, "keys").authorize({}, None) is ANYBODY
    assert Keys({}).authorize({}, "admin") is ANYBODY


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("secretkey infer", "line 1: expected KEY SCOPES NAME, got 2 words"),
        ("secretkey infer,all me", "expected scopes of infer, read, admin, got all"),
        ("sha256:12 infer me", "expected 64 hex digits"),
        ("sha256:" + "g" * 64 + " infer me", "expected 64 hex digits"),
    ],
)
def test_bad_lines_do_not_show_the_key(line: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says) as caught:
        parse_keys([line], "keys")
    assert "secretkey" not in str(caught.value)


def test_a_key_is_not_kept() -> None:
    assert "k1" not in repr(vars(parse_keys(["k1 infer alice"], "keys")))
