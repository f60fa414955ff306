"""Answers that were given before."""

from __future__ import annotations

from inferir.server.inference.cache import AnswerCache


def test_the_ones_used_last_are_kept() -> None:
    cache, table = AnswerCache(2), object()
    assert cache.get(table, b"a") is None
    cache.put(table, b"a", 1)
    cache.put(table, b"b", 2)
    assert cache.get(table, b"a") == 1
    cache.put(table, b"c", 3)
    assert [cache.get(table, key) for key in (b"a", b"b", b"c")] == [1, None, 3]


def test_another_table_is_another_answer() -> None:
    cache, old, new = AnswerCache(2), object(), object()
    cache.get(old, b"a")
    cache.put(old, b"a", 1)
    assert cache.get(new, b"a") is None
    cache.put(old, b"a", 1)  # an answer that was on its way while models changed
    assert cache.get(new, b"a") is None
