"""Hypothesis without a deadline: tests run on machines that others use too, and a slow moment is no failure."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("inferir", deadline=None)

# The gate tries the same examples every time, so that what it says of a change is about the change. New examples are
# tried whenever tests run without it.
settings.register_profile("gate", parent=settings.get_profile("inferir"), derandomize=True, database=None)

settings.load_profile("inferir")
