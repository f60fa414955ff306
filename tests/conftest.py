"""Hypothesis without a deadline: tests run on machines that others use too, and a slow moment is no failure."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("inferir", deadline=None)
settings.load_profile("inferir")
