"""Which columns of a table are the model's, and what to say when they are not there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from inferir.errors import DimensionError

__all__ = ["check_width", "listing", "match_names", "missing_columns"]

#: Messages list at most so many names.
_MOST_NAMES = 10

#: difflib compares every name with every other; in a wider table a hint is not worth the wait.
_MOST_CANDIDATES = 2_000


def match_names(expected: Sequence[str], came: Sequence[str]) -> list[int]:
    """Position in `came` of each of `expected`; other columns are left out.

    Raises DimensionError where a column is missing, or came more than once.
    """
    positions: dict[str, int] = {}
    repeated: set[str] = set()
    for position, name in enumerate(came):
        if positions.setdefault(name, position) != position:
            repeated.add(name)
    missing = [name for name in expected if name not in positions]
    if missing:
        raise missing_columns(missing, came)
    if not repeated.isdisjoint(expected):
        twice = [name for name in expected if name in repeated]
        raise DimensionError(f"expected every column once, got more than one called {listing(twice)}")
    return [positions[name] for name in expected]


def missing_columns(missing: Sequence[str], came: Sequence[str], where: str = "") -> DimensionError:
    """The error for columns that did not come, with the nearest of those that did as a hint. `where` opens it."""
    hints = []
    for name in missing[:_MOST_NAMES]:
        close = get_close_matches(name, came, n=1) if len(came) <= _MOST_CANDIDATES else []
        # difflib is case-sensitive: 'age' and 'AGE' have nothing in common for it.
        close = close or [other for other in came if other.casefold() == name.casefold()]
        hints.append(f"{name!r} (did you mean {close[0]!r}?)" if close else repr(name))
    if len(missing) > _MOST_NAMES:
        hints.append(f"and {len(missing) - _MOST_NAMES} more")
    got = f"{len(came)} {_plural(len(came), 'column')}: {listing(came)}" if came else "no columns"
    return DimensionError(f"{where}missing {_plural(len(missing), 'column')} {', '.join(hints)}; got {got}")


def check_width(expected: int, came: int) -> None:
    """Raises DimensionError unless as many columns came as the model has."""
    if came != expected:
        raise DimensionError(f"expected {expected} {_plural(expected, 'column')}, got {came}")


def listing(names: Iterable[str]) -> str:
    """The first names, quoted."""
    quoted = [repr(name) for name in names]
    more = [f"and {len(quoted) - _MOST_NAMES} more"] if len(quoted) > _MOST_NAMES else []
    return ", ".join(quoted[:_MOST_NAMES] + more)


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else noun + "s"
