"""How often one may ask: beside a bucket of tokens in exact numbers, and over sockets."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.errors import InvalidInputError
from inferir.server.errors import RateLimitError
from inferir.server.request.auth import parse_keys
from inferir.server.request.rates import RateLimit
from inferir.server.settings import Settings
from tests.server.request.test_gate import predict
from tests.server.serving import connecting, linear_model, read_answer, serving

KEYS = parse_keys(["one infer alice", "two infer bob", "three infer bob"], "keys")


def lets(limit: RateLimit, now_s: float, name: str = "alice") -> bool:
    try:
        limit.check(name, now_s)
    except RateLimitError:
        return False
    return True


class Bucket:
    """What the algorithm is equal to: tokens that come at the rate and are taken, one a request."""

    def __init__(self, per_s: int, burst: int) -> None:
        self.per_s, self.burst = per_s, burst
        self.tokens, self.seen_s = Fraction(burst), Fraction(0)

    def lets(self, now_s: Fraction) -> bool:
        self.tokens = min(Fraction(self.burst), self.tokens + (now_s - self.seen_s) * self.per_s)
        self.seen_s = now_s
        let = self.tokens >= 1
        self.tokens -= let
        return let


@given(
    per_s=st.integers(1, 50),
    burst=st.integers(1, 10),
    waits_ms=st.lists(st.integers(0, 300), max_size=60),
    began_s=st.sampled_from([0, 1_000_000]),
)
def test_it_is_a_bucket_of_tokens(per_s: int, burst: int, waits_ms: list[int], began_s: int) -> None:
    limit, bucket, now_s = RateLimit(per_s, burst), Bucket(per_s, burst), Fraction(began_s)
    for wait_ms in waits_ms:
        now_s += Fraction(wait_ms, 1000)
        assert lets(limit, float(now_s)) is bucket.lets(now_s)


def test_a_burst_is_what_comes_in_a_second_and_at_least_one() -> None:
    for per_s, burst in ((5.0, 5), (4.5, 5), (0.1, 1)):
        limit = RateLimit(per_s)
        assert [lets(limit, 7.0) for _ in range(burst + 1)] == [True] * burst + [False]


def test_each_name_has_its_own() -> None:
    limit = RateLimit(1.0)
    assert [lets(limit, 0.0, name) for name in ("alice", "bob", "alice", "bob")] == [True, True, False, False]


def test_what_is_refused_counts_for_nothing() -> None:
    limit = RateLimit(1.0)
    assert lets(limit, 0.0)
    assert not any(lets(limit, k / 100) for k in range(100))
    assert lets(limit, 1.0)


def test_who_is_refused_is_told_when_to_come_back() -> None:
    limit = RateLimit(0.1)
    limit.check("alice", 0.0)
    with pytest.raises(RateLimitError, match=r"at most 0\.1 requests a second from alice, 1 at once") as caught:
        limit.check("alice", 2.5)
    after_s = float(caught.value.headers["Retry-After"])
    assert after_s == 8
    assert lets(limit, 2.5 + after_s)


def test_time_that_goes_back_asks_for_no_more() -> None:
    limit = RateLimit(1.0, 2)
    assert lets(limit, 100.0)
    assert not lets(limit, 50.0)
    assert lets(limit, 100.0)


@pytest.mark.parametrize("value", [-1.0, 0.0001, 1e10, float("nan"), float("inf")])
def test_settings_that_make_no_sense(value: float) -> None:
    with pytest.raises(InvalidInputError, match="rate_limit: expected"):
        Settings(rate_limit=value)


def test_over_http(tmp_path: Path) -> None:
    async def main() -> None:
        model = linear_model(tmp_path / "m.apr")
        async with (
            serving(model, keys=KEYS, rate_limit=0.01, rate_burst=2) as (_, url),
            aiohttp.ClientSession(url) as client,
        ):
            for key in ("one", "two"):
                asked = [await predict(client, **{"X-API-Key": key}) for _ in range(3)]
                assert [status for status, _, _ in asked] == [200, 200, 429]
                _, body, headers = asked[-1]
                assert body["code"] == "RATE_LIMITED"
                assert "expected at most 0.01 requests a second" in body["message"]
                assert 90 <= int(headers["Retry-After"]) <= 100
            assert (await predict(client, **{"X-API-Key": "three"}))[0] == 429  # of the same name
            assert (await predict(client, **{"X-API-Key": "four"}))[0] == 401
            for _ in range(5):
                async with client.get("/ready") as response:  # neither are probes
                    assert response.status == 200

    asyncio.run(main())


def test_without_keys_all_clients_share_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(linear_model(tmp_path / "m.apr"), rate_limit=0.01) as (_, url):
            for expected in (200, 429, 429):
                async with aiohttp.ClientSession(url) as client:
                    assert (await predict(client))[0] == expected
            async with aiohttp.ClientSession(url) as client, client.get("/metrics") as response:
                assert 'inferir_requests_shed_total{reason="rate_limit"} 2' in await response.text()

    asyncio.run(main())


@pytest.mark.parametrize("pause_s", [0.0, 0.3])
def test_a_large_body_counts_once_however_it_comes(tmp_path: Path, pause_s: float) -> None:
    """In pieces one after the other it is received into its place; with a pause it goes aiohttp's way in the end."""
    body = b'{"features": [1.0, 0.0]' + b" " * 100_000 + b"}"
    head = f"POST /predict HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    async def main() -> None:
        model = linear_model(tmp_path / "m.apr")
        async with serving(model, rate_limit=0.01, rate_burst=3) as (_, url), connecting(url) as connect:
            reader, writer = await connect()
            for expected in (200, 200, 200, 429):
                writer.write(head + body[:50_000])
                await writer.drain()
                await asyncio.sleep(pause_s)
                writer.write(body[50_000:])
                assert (await read_answer(reader))[0] == expected

    asyncio.run(main())
