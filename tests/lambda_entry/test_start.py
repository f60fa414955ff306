"""What a start in Lambda costs: which modules it imports, and that nothing else is needed."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inferir.lambda_entry.package import MODULES
from tests.lambda_entry.conftest import ARCH, Packaged
from tests.lambda_entry.parts import event, runtime_api
from tests.patience import PATIENCE_S

#: Modules of Inferir that a start does not import: what is rare brings its own.
RARE = {
    "inferir.rows.names",
    *(
        f"inferir.lambda_entry.{name}"
        for name in ("instances", "managed", "records", "remote", "s3", "snapstart", "streaming")
    ),
}

#: Modules of Python that a start imports beyond those of `python -I -S -c pass`. Each is C, frozen, or a few lines.
#: json, ctypes, socket, typing, re, enum, collections, logging cost milliseconds each: they must not come in.
ALLOWED = {
    *("_json", "_socket", "_struct", "_ctypes", "_functools", "marshal", "mmap", "time", "zlib"),
    *("os", "stat", "_stat", "posixpath", "genericpath", "_collections_abc"),
    "__future__",
}

LIST = """
import os, sys
before = set(sys.modules)
sys.argv[0] = sys.argv.pop(1)
namespace = {"__name__": "start"}
exec(compile(open(sys.argv[0]).read(), sys.argv[0], "exec"), namespace)
from inferir.lambda_entry import __main__ as entry, loop
try:
    entry.main()
finally:
    print(*sorted(set(sys.modules) - before))
"""


def imported(folder: Path, host: str) -> set[str]:
    environ = {"AWS_LAMBDA_RUNTIME_API": host, "LAMBDA_TASK_ROOT": str(folder)}
    command = [sys.executable, "-I", "-S", "-c", LIST, str(folder / "start.py")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 1, done.stderr  # `next` is refused when there are no events
    assert re.search(r"^STARTUP_US=\d+ MODEL_LOAD_US=\d+ WARMUP_US=\d+$", done.stderr, re.MULTILINE)
    assert "expected the next event, got status 403" in done.stdout
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("compiled", [True, False])
def test_a_start_and_an_answer_import_nothing_that_is_not_allowed(
    packaged: Packaged, tmp_path: Path, compiled: bool
) -> None:
    folder = packaged.folder
    if not compiled:  # another interpreter than the bundle is for: sources
        folder = tmp_path / "task"
        shutil.copytree(packaged.folder, folder)
        for bundle in folder.glob("bundle.*"):
            bundle.unlink()
    with runtime_api(event({"features": packaged.rows[0].tolist()})) as api:
        found = imported(folder, api.host)
        (posted,) = api.posted
    assert posted.document["prediction"] == packaged.forest.predict(packaged.rows[:1])[0]
    ours = {name for name in found if name.partition(".")[0] == "inferir"}
    assert ours == set(MODULES) - RARE
    assert found - ours <= ALLOWED


#: Prints what a process opens, as the audit hooks of Python see it.
OPENED = """
import sys
sys.argv[0] = sys.argv.pop(1)
opened = []
def hook(event, arguments):
    if event in ("open", "ctypes.dlopen"):
        opened.append((event, arguments[0], arguments[2] if event == "open" else 0))
sys.addaudithook(hook)
namespace = {"__name__": "start"}
exec(compile(open(sys.argv[0]).read(), sys.argv[0], "exec"), namespace)
from inferir.lambda_entry.__main__ import main
try:
    main()
finally:
    print(opened)
"""


def test_a_start_and_an_answer_read_the_package_alone_and_write_nothing(packaged: Packaged) -> None:
    """The task's folder may be read-only, and $HOME, /sys, /dev/shm not there."""
    folder = packaged.folder
    with runtime_api(event({"features": packaged.rows[0].tolist()})) as api:
        environ = {"AWS_LAMBDA_RUNTIME_API": api.host, "LAMBDA_TASK_ROOT": str(folder)}
        command = [sys.executable, "-I", "-S", "-c", OPENED, str(folder / "start.py")]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert [posted.path.rpartition("/")[2] for posted in api.posted] == ["response"]
    opened = ast.literal_eval(done.stdout.splitlines()[-1])
    assert any(what == "ctypes.dlopen" for what, *_ in opened)
    for what, name, flags in opened:
        of_python = str(name).startswith((sys.prefix, sys.base_prefix))
        assert of_python or str(name).startswith(str(folder)) or name == "/proc/cpuinfo", (what, name)
        assert not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT), (what, name)


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lambda data: data[:100], "Function.ModelLoadFailed"),
        (lambda data: b"", "Function.ModelLoadFailed"),
        (lambda data: b"GGUF" + data[4:], "Function.ModelLoadFailed"),
        (lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:], "Function.ChecksumMismatch"),
        (None, "Function.FileAccess"),
    ],
)
def test_a_model_that_is_none_is_an_init_error_and_exit_code_1(
    packaged: Packaged, tmp_path: Path, damage: Any, kind: str
) -> None:
    folder = tmp_path / "task"
    shutil.copytree(packaged.folder, folder)
    model = folder / "model" / "model.apr"
    if damage is None:
        model.unlink()
    else:
        model.write_bytes(damage(packaged.contents))
    with runtime_api(event({"features": packaged.rows[0].tolist()})) as api:
        environ = {"AWS_LAMBDA_RUNTIME_API": api.host, "LAMBDA_TASK_ROOT": str(folder)}
        command = [sys.executable, "-I", "-S", str(folder / "start.py")]
        done = subprocess.run(command, env=environ, capture_output=True, timeout=PATIENCE_S, check=False)
        (posted,) = api.posted
        assert not api.asked
    assert done.returncode == 1
    assert posted.path == "/2018-06-01/runtime/init/error"
    assert posted.headers["lambda-runtime-function-error-type"] == kind


@pytest.mark.skipif(ARCH != "x86_64", reason="there is one level of other processors")
def test_a_processor_without_avx2_is_an_init_error_that_says_what_was_looked_for(packaged: Packaged) -> None:
    with runtime_api(event({"features": packaged.rows[0].tolist()})) as api:
        environ = {"AWS_LAMBDA_RUNTIME_API": api.host, "LAMBDA_TASK_ROOT": str(packaged.folder)}
        environ["INFERIR_CPU_LEVEL"] = "v2"
        command = [sys.executable, "-I", "-S", str(packaged.folder / "start.py")]
        done = subprocess.run(command, env=environ, capture_output=True, timeout=PATIENCE_S, check=False)
        (posted,) = api.posted
    assert done.returncode == 1
    assert posted.headers["lambda-runtime-function-error-type"] == "Function.BackendUnavailable"
    assert "kernels.x86_64_v2.so" in posted.document["errorMessage"]


@pytest.mark.parametrize("name", sorted(RARE))
def test_what_is_rare_is_in_the_package_too(packaged: Packaged, name: str) -> None:
    code = (
        "import sys; sys.argv[0] = sys.argv.pop(1)\n"
        "exec(compile(open(sys.argv[0]).read(), sys.argv[0], 'exec'), {'__name__': 'start'})\n"
        f"import {name}; print(sys.modules[{name!r}].__spec__.loader.__name__)"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(packaged.folder / "start.py")]
    environ = {**os.environ, "LAMBDA_TASK_ROOT": str(packaged.folder)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert done.stdout == "Bundle\n"


def test_imports_of_the_package_alone_are_enough(packaged: Packaged) -> None:
    """Nothing comes from this working tree: the packaged folder is the only place where `inferir` can be found."""
    code = "import inferir" + ".lambda_entry.handler as h; print(h.__file__)"
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, sys.argv[1]); {code}"]
    done = subprocess.run(
        [*command, str(packaged.folder)], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert Path(done.stdout.strip()) == packaged.folder / "inferir/lambda_entry/handler.py"


def test_json_reads_and_writes_without_the_package() -> None:
    code = (
        "import sys; from inferir.lambda_entry.jsontext import dumps, loads\n"
        "print(dumps(loads('[1, 2.5, \"x\", null, {\"a\": true}]')), 'json' in sys.modules)\n"
        "try:\n    loads('[1')\nexcept ValueError as error:\n    print(type(error).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    first, second = done.stdout.splitlines()
    assert first.endswith(" False")
    assert json.loads(first.removesuffix(" False")) == [1, 2.5, "x", None, {"a": True}]
    assert second == "JSONDecodeError"
