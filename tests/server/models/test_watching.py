"""Which changes of files have settled."""

from __future__ import annotations

from inferir.server.models.watching import Watch

A, B = (1,), (2,)


def having(*paths: str) -> Watch:
    """Files that are loaded as they are at A, each a version of its own."""
    watch = Watch()
    for path in paths:
        watch.loaded(path, A, f"{path}@1")
    return watch


def test_a_change_counts_when_it_was_seen_twice() -> None:
    watch = having("m")
    assert watch.look({"m": A}).changed == []
    assert watch.look({"m": B}).changed == []
    assert watch.look({"m": B}).changed == ["m"]
    watch.loaded("m", B, "m@1")
    assert watch.look({"m": B}).changed == []


def test_a_file_that_is_being_written_waits() -> None:
    watch = Watch()
    for size in range(5):
        assert watch.look({"m": (size,)}).changed == []
    assert watch.look({"m": (4,)}).changed == ["m"]


def test_a_file_that_failed_is_not_tried_again_until_it_changes_or_somebody_says_so() -> None:
    watch = Watch()
    watch.look({"m": A})
    assert watch.look({"m": A}).changed == ["m"]
    watch.failed("m", A)
    assert watch.look({"m": A}).changed == []
    assert [watch.look({"m": A}, at_once=True).changed for _ in range(2)] == [["m"], ["m"]]
    assert watch.look({"m": A}).changed == []
    watch.look({"m": B})
    assert watch.look({"m": B}).changed == ["m"]
    watch.loaded("m", B, "m@1")
    assert watch.look({"m": B}, at_once=True).changed == []


def test_gone_three_times_is_gone() -> None:
    watch = having("m", "n")
    assert watch.look({"n": A}).gone == []
    assert watch.look({"m": A, "n": A}).gone == []  # it came back
    assert [watch.look({"n": A}).gone for _ in range(4)] == [[], [], ["m"], ["m"]]
    watch.forget("m")
    assert watch.look({"n": A}).gone == []
    watch.look({"m": A, "n": A})
    assert watch.look({"m": A, "n": A}).changed == ["m"]  # as if it had never been there


def test_gone_and_not_forgotten_may_come_back() -> None:
    watch = having("m")
    assert watch.look({}, at_once=True).gone == ["m"]
    assert watch.look({"m": A}, at_once=True) == watch.look({"m": A})  # nothing: what is loaded of it is what it is
    watch.look({"m": B})
    assert watch.look({"m": B}).changed == ["m"]


def test_somebody_says_that_files_are_as_they_should_be() -> None:
    watch = having("m", "n")
    changes = watch.look({"m": B}, at_once=True)
    assert (changes.changed, changes.gone) == (["m"], ["n"])


def test_the_file_that_was_loaded_before_returns_when_the_other_goes() -> None:
    watch, files = Watch(), {"a": A, "b": A, "c": A}
    assert [watch.loaded(path, A, "m@1") for path in files] == [None, "a", "b"]
    assert watch.look(files, at_once=True).changed == watch.returning([]) == []
    del files["c"]
    watch.look(files)
    assert watch.returning([]) == []  # it may come back
    gone = watch.look(files, at_once=True).gone
    assert watch.returning(gone) == ["b"]
    assert watch.loaded("b", A, "m@1") == "c"
    watch.forget("c")
    assert watch.returning([]) == []


def test_the_file_that_was_loaded_before_returns_when_the_other_becomes_something_else() -> None:
    watch, files = Watch(), {"a": A, "b": A}
    watch.loaded("a", A, "m@1")
    watch.loaded("b", A, "m@1")
    watch.look(files)
    watch.failed("b", B)  # what was loaded of it before still is
    assert watch.returning([]) == []
    watch.loaded("b", B, "m@2")
    assert watch.returning([]) == ["a"]
    watch.failed("a", A)  # tried once, and not at every look
    assert watch.returning([]) == []


def test_who_answers_is_told_once_a_file_takes_the_place_back() -> None:
    watch = Watch()
    watch.loaded("a", A, "m@1")
    watch.loaded("b", A, "m@1")
    assert watch.loaded("b", B, "m@1") is None
    assert watch.loaded("a", B, "m@1") == "b"
    watch.look({"b": B}, at_once=True)
    assert watch.returning(["a"]) == ["b"]
