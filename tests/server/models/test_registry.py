"""Names, versions, aliases: who answers."""

from __future__ import annotations

from typing import Any

import pytest

from inferir.errors import UnknownModelError
from inferir.server.errors import ConflictError
from inferir.server.models.registry import Failure, ModelVersion, Registry, natural_order


def version(name: str, number: str, source: str = "", n_bytes: int = 0) -> ModelVersion:
    nothing: Any = None
    return ModelVersion(name, number, nothing, nothing, source=source or f"{name}{number}.apr", n_bytes=n_bytes)


def test_the_first_model_answers_where_none_is_named() -> None:
    registry = Registry()
    with pytest.raises(UnknownModelError, match="no model is loaded"):
        registry.resolve(None)
    a, b = version("a", "1"), version("b", "1")
    registry.add(a)
    registry.add(b)
    assert registry.resolve(None) is a
    named = Registry("b")
    named.add(a)
    named.add(b)
    assert named.resolve(None) is b


def test_another_version_does_not_take_over() -> None:
    registry = Registry()
    one, two = version("m", "1"), version("m", "2")
    registry.add(one)
    assert registry.add(two) == []
    assert registry.resolve("m") is one
    assert registry.resolve("m@2") is two
    registry.set_default("m", "2")
    assert registry.resolve("m") is two


def test_a_file_that_changed_takes_over_names_and_aliases() -> None:
    registry = Registry()
    old, new = version("m", "1", "f"), version("m", "2", "f")
    registry.add(old)
    registry.alias("champion", "m@1")
    assert registry.add(new, replaces=old) == [old]
    assert registry.resolve("m") is registry.resolve("champion") is new
    with pytest.raises(UnknownModelError, match="unknown model 'm@1'; loaded: m@2"):
        registry.resolve("m@1")


def test_a_file_that_became_another_model() -> None:
    registry = Registry()
    old, new = version("m", "1", "f"), version("n", "1", "f")
    registry.add(old)
    assert registry.add(new, replaces=old) == [old]
    assert registry.resolve("n") is new
    with pytest.raises(UnknownModelError):
        registry.resolve("m")


def test_the_same_version_from_another_file_is_replaced() -> None:
    registry = Registry()
    old, new = version("m", "1", "f"), version("m", "1", "g")
    registry.add(old)
    assert registry.add(new) == [old]
    assert registry.resolve("m") is new
    assert len(registry) == 1


def test_whoever_resolved_keeps_the_version() -> None:
    registry = Registry()
    old, new = version("m", "1", "f"), version("m", "1", "f")
    registry.add(old)
    found, table = registry.resolve("m"), registry.table
    registry.add(new, replaces=old)
    assert found is old
    assert table.models["m"]["1"] is old
    assert registry.resolve("m") is new


def test_the_highest_version_answers_when_the_default_goes() -> None:
    registry = Registry()
    for number in ("1", "1.9", "1.10"):
        registry.add(version("m", number))
    registry.remove("m", "1")
    assert registry.resolve("m").version == "1.10"


def test_aliases_point_to_what_is_loaded() -> None:
    registry = Registry()
    registry.add(version("m", "1"))
    with pytest.raises(UnknownModelError):
        registry.alias("champion", "m@2")
    for bad in ("m", "a@b", ""):
        with pytest.raises(ConflictError):
            registry.alias(bad, "m")
    registry.alias("champion", "m@1")
    with pytest.raises(ConflictError, match="champion"):
        registry.remove("m", "1")
    registry.alias("champion", "")
    registry.remove("m", "1")
    with pytest.raises(UnknownModelError):
        registry.alias("champion", "")


def test_an_alias_of_a_name_follows_its_default() -> None:
    registry = Registry()
    registry.add(version("m", "1"))
    registry.add(version("m", "2"))
    registry.alias("latest", "m")
    registry.set_default("m", "2")
    assert registry.resolve("latest").version == "2"
    registry.remove("m", "2")
    assert registry.resolve("latest").version == "1"


def test_failures_are_kept_until_the_file_loads() -> None:
    registry = Registry()
    registry.fail(Failure("m", "1", "f", "E001", "no"))
    assert list(registry.failures) == ["f"]
    registry.add(version("m", "1", "f"))
    assert not registry.failures


def test_who_could_go() -> None:
    registry = Registry()
    for name in "abcd":
        registry.add(version(name, "1"))
    for name in "badc":
        registry.resolve(name)
    registry.alias("champion", "b")
    registry.resolve("d").acquire()
    assert [each.name for each in registry.by_use()] == ["a", "c"]


def test_natural_order() -> None:
    numbers = ["2", "10", "1.10", "1.9", "1.9.1", "beta", "1.9-rc1"]
    assert sorted(numbers, key=natural_order) == ["1.9", "1.9.1", "1.9-rc1", "1.10", "2", "10", "beta"]
