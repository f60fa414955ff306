"""Which changes of files have settled."""

from __future__ import annotations

from inferir.server.models.watching import Watch

A, B = (1,), (2,)


def test_a_change_counts_when_it_was_seen_twice() -> None:
    watch = Watch({"m": A})
    assert watch.look({"m": A}).changed == []
    assert watch.look({"m": B}).changed == []
    assert watch.look({"m": B}).changed == ["m"]
    watch.note("m", B)
    assert watch.look({"m": B}).changed == []


def test_a_file_that_is_being_written_waits() -> None:
    watch = Watch({})
    for size in range(5):
        assert watch.look({"m": (size,)}).changed == []
    assert watch.look({"m": (4,)}).changed == ["m"]


def test_a_file_that_failed_is_not_tried_again_until_it_changes() -> None:
    watch = Watch({})
    watch.look({"m": A})
    assert watch.look({"m": A}).changed == ["m"]
    watch.note("m", A)
    assert watch.look({"m": A}).changed == []
    watch.look({"m": B})
    assert watch.look({"m": B}).changed == ["m"]


def test_gone_three_times_is_gone() -> None:
    watch = Watch({"m": A, "n": A})
    assert watch.look({"n": A}).gone == []
    assert watch.look({"m": A, "n": A}).gone == []  # it came back
    assert [watch.look({"n": A}).gone for _ in range(4)] == [[], [], ["m"], ["m"]]
    watch.forget("m")
    assert watch.look({"n": A}).gone == []
    watch.look({"m": A, "n": A})
    assert watch.look({"m": A, "n": A}).changed == ["m"]  # as if it had never been there


def test_gone_and_not_forgotten_may_come_back() -> None:
    watch = Watch({"m": A})
    assert watch.look({}, at_once=True).gone == ["m"]
    assert watch.look({"m": A}, at_once=True) == watch.look({"m": A})  # nothing: what is loaded of it is what it is
    watch.look({"m": B})
    assert watch.look({"m": B}).changed == ["m"]


def test_somebody_says_that_files_are_as_they_should_be() -> None:
    watch = Watch({"m": A, "n": A})
    changes = watch.look({"m": B}, at_once=True)
    assert (changes.changed, changes.gone) == (["m"], ["n"])
