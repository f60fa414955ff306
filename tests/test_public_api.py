"""`__all__` of every package is what can be imported from it, and nothing is public by accident."""

from __future__ import annotations

import importlib
import pkgutil
import types
from collections.abc import Iterator

import pytest

import inferir


def _modules() -> Iterator[str]:
    yield "inferir"
    for module in pkgutil.walk_packages(inferir.__path__, "inferir."):
        if not module.name.rpartition(".")[2].startswith("_"):
            yield module.name


@pytest.mark.parametrize("name", list(_modules()))
def test_all_names_exist(name: str) -> None:
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public), f"{name}.__all__ has {public!r}, which is not there"


def test_the_package_offers_what_it_lists_and_its_submodules() -> None:
    for name in inferir.__all__:
        getattr(inferir, name)
    public = {name for name in vars(inferir) if not name.startswith("_") or name == "__version__"}
    modules = {name for name in public if isinstance(vars(inferir)[name], types.ModuleType)}
    helpers = {"Any", "TYPE_CHECKING", "annotations"}
    assert public - modules - helpers == set(inferir.__all__) - {"errors"}
    assert set(inferir.__all__) <= set(dir(inferir))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'inferir' has no attribute 'Modell'"):
        inferir.Modell  # noqa: B018


def test_errors_are_a_tree_with_a_code_each() -> None:
    found = {name: getattr(inferir.errors, name) for name in inferir.errors.__all__}
    defined = {name: e for name, e in vars(inferir.errors).items() if isinstance(e, type)}
    assert found == defined
    assert all(issubclass(error, inferir.InferirError) for error in found.values())
    codes = [error.code for error in found.values() if error.code != "E000"]
    assert len(codes) == len(set(codes)) == len(found) - 2  # InferirError and FormatError are not raised
