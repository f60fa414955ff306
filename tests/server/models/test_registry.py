"""Names, versions, aliases: who answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inferir.errors import InvalidInputError, UnknownModelError
from inferir.server.errors import ConflictError
from inferir.server.models.registry import Failure, ModelVersion, Registry, natural_order


def version(name: str, number: str, source: str = "", n_bytes: int = 0) -> ModelVersion:
    nothing: Any = None
    return ModelVersion(name, number, nothing, nothing, source=source or f"{name}{number}.apr", n_bytes=n_bytes)


def having(*references: str) -> Registry:
    registry = Registry()
    for name, number in (reference.split("@") for reference in references):
        registry.add(version(name, number))
    return registry


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


def test_no_other_model_answers_for_the_default() -> None:
    registry = Registry()
    for name in "ab":
        registry.add(version(name, "1"))
    registry.remove("a")
    with pytest.raises(UnknownModelError, match="unknown model 'a'"):
        registry.resolve(None)
    assert registry.table.default == "a"
    back = version("a", "2")
    registry.add(back)
    assert registry.resolve(None) is back


@pytest.mark.parametrize("chosen", ["", "m"])
def test_a_file_that_became_another_model_stays_the_default_unless_one_was_chosen(chosen: str) -> None:
    registry = Registry(chosen)
    old, new = version("m", "1", "f"), version("n", "1", "f")
    registry.add(version("m", "2", "g"))
    registry.add(old)
    registry.alias("latest", "m")
    registry.add(new, replaces=old)
    assert registry.resolve(None).reference == registry.resolve("latest").reference == "m@2"
    registry.add(version("o", "1", "g"), replaces=registry.resolve("m@2"))
    assert registry.resolve("latest").reference == "o@1"
    assert registry.table.default == (chosen or "o")


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
    registry = having("m@1")
    with pytest.raises(UnknownModelError):
        registry.alias("champion", "m@2")
    with pytest.raises(ConflictError, match="expected an alias that is not a model's name, got 'm'"):
        registry.alias("m", "m")
    for bad in ("a@b", "", "a\r\nb", "a\0", "\x7f", "\u2028", "\ud800", "a" * 513):
        with pytest.raises(InvalidInputError, match="expected an alias of 1 to 512 characters that can be printed"):
            registry.alias(bad, "m")
    registry.alias("a" * 512, "m")
    registry.alias("größte Auswahl", "m")
    for good in list(registry.table.aliases):
        registry.alias(good, "")
    registry.alias("champion", "m@1")
    with pytest.raises(ConflictError, match="champion"):
        registry.remove("m", "1")
    registry.alias("champion", "")
    registry.remove("m", "1")
    with pytest.raises(UnknownModelError):
        registry.alias("champion", "")


def test_a_model_that_has_the_name_of_an_alias_is_refused() -> None:
    registry = having("m@1", "m@2")
    registry.alias("prod", "m")
    registry.alias("next", "m@2")
    before = registry.table
    with pytest.raises(ConflictError, match="expected a model's name that is no alias, got 'prod', an alias of 'm'"):
        registry.add(version("prod", "1"))
    with pytest.raises(ConflictError, match="got 'next', an alias of 'm@2'"):
        registry.add(version("next", "1", "m2.apr"), replaces=registry.find("m", "2"))
    assert registry.table is before
    registry.alias("prod", "")
    registry.add(version("prod", "1"))
    assert registry.resolve("prod").reference == "prod@1"


def test_a_name_is_not_unloaded_while_an_alias_points_to_a_version_of_it() -> None:
    registry = having("m@1", "m@2")
    registry.alias("champion", "m@1")
    registry.alias("latest", "m")
    with pytest.raises(ConflictError, match=r"also \['champion', 'latest'\]"):
        registry.remove("m")
    assert registry.resolve("champion").reference == "m@1"
    registry.remove("m", "2")  # no alias needs it: "latest" has another
    for name in ("champion", "m@1"):  # other names of the model are not its name
        with pytest.raises(ConflictError, match="expected a model's name"):
            registry.remove(name)
    for alias in ("champion", "latest"):
        registry.alias(alias, "")
    registry.remove("m")
    assert not registry.table.models


def test_an_alias_of_a_name_follows_its_default() -> None:
    registry = having("m@1", "m@2")
    registry.alias("latest", "m")
    registry.set_default("m", "2")
    assert registry.resolve("latest").version == "2"
    registry.remove("m", "2")
    assert registry.resolve("latest").version == "1"


def test_failures_are_kept_until_the_file_loads() -> None:
    registry = Registry()
    assert registry.fail("f", "E001", "no") == Failure("", "", "f", "E001", "no")
    registry.add(version("m", "1", "f"))
    assert not registry.failures
    assert registry.fail("f", "E001", "no") == Failure("m", "1", "f", "E001", "no")  # 1 answers as before
    registry.remove("m")
    assert registry.fail("f", "E002", "no") == Failure("m", "", "f", "E002", "no")
    assert list(registry.failures.values()) == [Failure("m", "", "f", "E002", "no")]


def test_what_another_registry_knows_is_taken_over() -> None:
    one, other = Registry(), Registry()
    for name in "abc":
        one.add(version(name, "1"))
    one.remove("a")
    one.remove("b", reason="evicted")
    one.fail("x.apr", "E001", "no")
    one.fail("b1.apr", "E002", "no")
    one.add(version("c", "2"))
    one.alias("latest", "c")
    one.alias("next", "c@2")
    for number in "12":
        other.add(version("c", number))
    notes = json.loads(json.dumps(one.notes()))
    other.restore(**notes)
    assert other.table.aliases == {"latest": ("c", ""), "next": ("c", "2")}
    assert [other.resolve(alias).reference for alias in ("latest", "next")] == ["c@1", "c@2"]
    assert other.known == {"a": "a1.apr", "b": "b1.apr", "c": "c2.apr"}
    assert other.away == {"a1.apr": "unloaded", "b1.apr": "evicted"}
    assert other.failures == one.failures
    assert (other.table.default, other.source_of("a")) == ("a", "a1.apr")
    with pytest.raises(UnknownModelError, match="unknown model 'a'"):
        other.resolve(None)
    one.add(version("b", "1"))
    assert list(one.away) == ["a1.apr"]
    with pytest.raises(UnknownModelError, match="unknown model 'd'; known: a, b, c"):
        one.source_of("d")


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
