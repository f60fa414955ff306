"""Hypothesis without a deadline: tests run on machines that others use too, and a slow moment is no failure.

`pytest --backend reference` makes that what "auto" means, so that what a test says of answers is said of a backend.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import inferir
from inferir import kernels

try:
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]

settings.register_profile("inferir", deadline=None, suppress_health_check=[HealthCheck.too_slow])

# The gate tries the same examples every time, so that what it says of a change is about the change. New examples are
# tried whenever tests run without it. So are the models that are trained without a seed of their own.
settings.register_profile("gate", parent=settings.get_profile("inferir"), derandomize=True, database=None)

settings.load_profile("inferir")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backend", choices=kernels.BACKENDS, help='what "auto" means (INFERIR_CPU_LEVEL: which level)')


#: Variables that a developer has set for other programs: they would change what ours say, or whom tests ask.
_FOREIGN = ("http_proxy", "https_proxy", "all_proxy", "force_color", "no_color", "clicolor_force")

#: Open files: tests hold hundreds of connections, both ends of each in one process. Elsewhere 1024 may be the limit.
_OPEN_FILES = 4096


def pytest_configure(config: pytest.Config) -> None:
    for name in [name for name in os.environ if name.lower() in _FOREIGN]:
        del os.environ[name]
    os.environ["COLUMNS"] = "80"  # as where there is no terminal
    if resource is not None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if chosen := config.getoption("backend"):
        kernels.BACKENDS = (chosen, *(name for name in kernels.BACKENDS if name != chosen))


def pytest_sessionstart() -> None:
    """Hypothesis takes examples from the constants of our modules, of those that were imported by then."""
    if settings().derandomize:
        for module in pkgutil.walk_packages(inferir.__path__, "inferir."):
            if not module.name.endswith("__main__"):
                with contextlib.suppress(ImportError):  # of an extra that is not installed
                    importlib.import_module(module.name)


def pytest_collectstart() -> None:
    _seed()  # models that are trained when a file of tests is imported


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    _seed()


def _seed() -> None:
    if settings().derandomize:
        random.seed(0)
        np.random.seed(0)  # what scikit-learn draws from where it is given no seed


def pytest_report_header(config: pytest.Config) -> str:
    return f'backend: "auto" means {kernels.select()!r}, {getattr(kernels.select().library, "path", "no library")}'
