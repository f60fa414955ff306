"""Hypothesis without a deadline: tests run on machines that others use too, and a slow moment is no failure.

`pytest --backend reference` makes that what "auto" means, so that what a test says of answers is said of a backend.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

from inferir import kernels

settings.register_profile("inferir", deadline=None)

# The gate tries the same examples every time, so that what it says of a change is about the change. New examples are
# tried whenever tests run without it.
settings.register_profile("gate", parent=settings.get_profile("inferir"), derandomize=True, database=None)

settings.load_profile("inferir")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backend", choices=kernels.BACKENDS, help='what "auto" means (INFERIR_CPU_LEVEL: which level)')


def pytest_configure(config: pytest.Config) -> None:
    if chosen := config.getoption("backend"):
        kernels.BACKENDS = (chosen, *(name for name in kernels.BACKENDS if name != chosen))


def pytest_report_header(config: pytest.Config) -> str:
    return f'backend: "auto" means {kernels.select()!r}, {getattr(kernels.select().library, "path", "no library")}'
