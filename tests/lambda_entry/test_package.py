"""What `inferir package` writes: the same bytes each time, nothing that is not needed, templates that linters take."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from inferir.cli.package import _ARCHITECTURES, _RUNTIMES
from inferir.errors import BackendError, InvalidInputError, ModelLoadError
from inferir.formats.apr import to_bytes
from inferir.formats.prepared import nbytes_of, without_tables
from inferir.kernels.aot import library, manifest
from inferir.lambda_entry import package as package_module
from inferir.lambda_entry.package import ARCHITECTURES, RUNTIMES, Options, build
from tests.lambda_entry.conftest import ARCH, Packaged
from tests.operators.test_prepared import arguments, forest_spec
from tests.patience import PATIENCE_S

TAG = sys.implementation.cache_tag


def options(**more: Any) -> Options:
    return Options(**{"arch": ARCH, "runtime": "provided.al2023", "interpreter": sys.executable, **more})


def tool(name: str) -> str:
    """A linter that is part of the gate's environment."""
    path = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if path is None:
        pytest.skip(f"{name} is not here: pip install -e .[dev]")
    return path


def test_the_command_s_choices_are_those_of_the_package() -> None:
    assert set(_ARCHITECTURES) == set(ARCHITECTURES)
    assert tuple(RUNTIMES) == _RUNTIMES


def test_the_same_model_makes_the_same_bytes(packaged: Packaged) -> None:
    first, second = (build(packaged.contents, options()) for _ in range(2))
    assert first.zip() == second.zip() == packaged.zip.read_bytes()


def test_the_bytes_do_not_depend_on_the_process(packaged: Packaged, tmp_path: Path) -> None:
    model, made = tmp_path / "m.apr", tmp_path / "m.zip"
    model.write_bytes(packaged.contents)
    command = [sys.executable, "-m", "inferir", "package", str(model), "--arch", ARCH, "--runtime", "provided.al2023"]
    command += ["--interpreter", sys.executable, "-o", str(made)]
    root = Path(__file__).resolve().parents[2]
    environ = {**os.environ, "PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo"}
    subprocess.run(command, env=environ, cwd=root, timeout=PATIENCE_S, check=True, stdout=subprocess.DEVNULL)
    assert made.read_bytes() == packaged.zip.read_bytes()


def test_what_is_in_the_zip(packaged: Packaged) -> None:
    with zipfile.ZipFile(packaged.zip) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        modes = {entry.filename: stat.S_IMODE(entry.external_attr >> 16) for entry in archive.infolist()}
        without_model = sum(e.compress_size for e in archive.infolist() if e.filename != "model/model.apr")
    assert {name for name in names if not name.startswith("inferir/")} == {
        "bootstrap", f"bundle.{TAG}", "model/arrays", "model/model.apr", "model/plan", "start.py",
    }  # fmt: skip
    assert not [name for name in names if "jit" in name or "reference" in name or "server" in name or "numpy" in name]
    assert all(mode == (0o755 if name == "bootstrap" else 0o644) for name, mode in modes.items())
    assert without_model < 500_000


def test_modules_for_aws_s_runtime_are_compiled_one_by_one(packaged: Packaged, tmp_path: Path) -> None:
    made = build(packaged.contents, options(entry="handler"))
    assert not [name for name in made.files if name.startswith("bundle.")]
    assert len(made.zip()) - len(packaged.contents) < 500_000
    for name, data in made.files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    code = "import inferir.lambda_entry.handler as h, sys; print(h.__cached__, h.__doc__, '__future__' in sys.modules)"
    environ = {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=True, cwd="/")
    cached = tmp_path / f"inferir/lambda_entry/__pycache__/handler.{TAG}.pyc"
    assert done.stdout == f"{cached} None False\n"  # no docstring and no __future__: it came from there


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_package_has_the_kernels_of_its_processor_alone(packaged: Packaged, arch: str) -> None:
    if not list(Path(library.FOLDER).glob(f"*{ARCHITECTURES[arch]}*.so")):
        pytest.skip(f"the kernels of {arch} are not built here")
    files = build(packaged.contents, options(arch=arch, interpreter=None)).files
    kernels = [name for name in files if name.endswith(".so")]
    assert kernels
    assert all(ARCHITECTURES[arch] in name for name in kernels)


def test_without_an_interpreter_sources_are_there_and_a_note(packaged: Packaged) -> None:
    made = build(packaged.contents, options(interpreter=None))
    assert not [name for name in made.files if name.startswith("bundle.")]
    assert "makes each start slower" in made.notes[0]


def test_where_a_large_model_goes(packaged: Packaged, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    size = len(packaged.contents)
    monkeypatch.setattr(package_module, "EMBEDDED_BYTES", size - 1)
    made = build(packaged.contents, options())
    assert "model/model.apr" not in made.files
    assert made.layer == {"model/model.apr": packaged.contents}
    written = [path.name for path in made.write_zip(tmp_path / "a.zip")]
    assert written == ["a.zip", "a-layer.zip", "a.yaml", "a-deploy.sh"]
    assert "ContentUri: 'a-layer.zip'" in (tmp_path / "a.yaml").read_text()
    monkeypatch.setattr(package_module, "LAYER_BYTES", size - 1)
    with pytest.raises(InvalidInputError, match="fits neither zip nor layer; expected the s3:// URL"):
        build(packaged.contents, options())
    made = build(packaged.contents, options(model_url="s3://models/a/b.apr"))
    assert not made.layer
    assert b'"sha256"' in made.files["model/remote.json"]
    assert made.notes == ("copy the model to s3://models/a/b.apr",)


def test_tables_are_in_a_package_once(tmp_path: Path) -> None:
    """Beside the plan, as kernels take them, and made by compiled kernels, whether the file had them or not."""
    spec = forest_spec((60, 60, 60, 60))
    assert nbytes_of(spec)
    kept, plain = (build(to_bytes(one), options()).files for one in (spec, without_tables(spec)))
    assert kept == plain
    assert kept["model/model.apr"] == to_bytes(without_tables(spec))
    tiles = arguments(spec)[1]["tile"]
    assert tiles.size
    assert tiles.tobytes() in kept["model/arrays"]


def test_a_model_in_a_bucket_keeps_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    contents = to_bytes(forest_spec((60, 60)))
    monkeypatch.setattr(package_module, "LAYER_BYTES", len(contents) - 1)
    made = build(contents, options(model_url="s3://models/a/b.apr"))
    assert json.loads(made.files["model/remote.json"])["sha256"] == hashlib.sha256(contents).hexdigest()


def test_a_python_goes_into_the_zip_with_its_permissions(packaged: Packaged, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_bytes(b"program")
    (tmp_path / "bin" / "python3").chmod(0o755)
    (tmp_path / "lib.txt").write_bytes(b"data")
    made = build(packaged.contents, options(python=tmp_path))
    assert made.files["python/bin/python3"] == b"program"
    assert made.executable == {"bootstrap", "python/bin/python3"}


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        ({"arch": "riscv"}, InvalidInputError, "arch: expected x86_64 or arm64, got 'riscv'"),
        ({"runtime": "python2.7"}, InvalidInputError, "runtime: expected one of python3.12"),
        ({"interpreter": "/no/python"}, BackendError, "expected a Python that can be run at '/no/python'"),
        (
            {"runtime": "python3.14" if sys.version_info < (3, 14) else "python3.12"},
            InvalidInputError,
            "interpreter: expected Python 3",
        ),
    ],
)
def test_options_that_do_not_fit(
    packaged: Packaged, more: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build(packaged.contents, options(**more))


def test_what_is_no_model_is_refused() -> None:
    if manifest.problem() is not None:
        pytest.skip("no compiled kernels")
    with pytest.raises(ModelLoadError):
        build(b"GGUF", options())


def test_templates_pass_cfn_lint(packaged: Packaged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    linter = tool("cfn-lint")
    for size in ("zip", "layer", "bucket"):
        if size != "zip":
            monkeypatch.setattr(package_module, "EMBEDDED_BYTES", 0)
        if size == "bucket":
            monkeypatch.setattr(package_module, "LAYER_BYTES", 0)
        url = "s3://models/it's.apr" if size == "bucket" else None
        for runtime in RUNTIMES:
            for entry in ("loop", "handler"):
                wanted = options(runtime=runtime, entry=entry, interpreter=None, model_url=url)
                name = f"{size}-{runtime}-{entry}"
                build(packaged.contents, wanted).write_zip(tmp_path / f"{name}.zip")
                text = (tmp_path / f"{name}.yaml").read_text()
                own = entry == "loop" and runtime != "provided.al2023"
                assert ("AWS_LAMBDA_EXEC_WRAPPER" in text) == own
    templates = sorted(map(str, tmp_path.glob("*.yaml")))
    assert len(templates) == 3 * 2 * len(RUNTIMES)
    environ = {**os.environ, "AWS_DEFAULT_REGION": "eu-central-1"}
    done = subprocess.run(
        [linter, *templates], capture_output=True, text=True, timeout=10 * PATIENCE_S, check=False, env=environ
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_images_pass_hadolint(packaged: Packaged, runtime: str, tmp_path: Path) -> None:
    linter = tool("hadolint")
    made = build(packaged.contents, options(runtime=runtime, interpreter=None))
    for _ in range(2):  # a second time into the same folder
        made.write_image(tmp_path / "image")
    done = subprocess.run(
        [linter, str(tmp_path / "image" / "Dockerfile")],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "image" / "task" / "bootstrap").stat().st_mode & 0o111 == 0o111
    assert (tmp_path / "image" / "task" / "model" / "model.apr").read_bytes() == packaged.contents


@pytest.mark.parametrize("runtime", ["python3.13", "provided.al2023"])
def test_shell_scripts_are_scripts(packaged: Packaged, runtime: str, tmp_path: Path) -> None:
    made = build(packaged.contents, options(runtime=runtime, interpreter=None))
    *_, script = made.write_zip(tmp_path / "model.zip")
    (tmp_path / "bootstrap").write_bytes(made.files["bootstrap"])
    for path in (script, tmp_path / "bootstrap"):
        subprocess.run(["sh", "-n", str(path)], check=True, timeout=PATIENCE_S)
    assert script.stat().st_mode & 0o111 == 0o111
    bare = subprocess.run(
        ["sh", str(tmp_path / "bootstrap"), "/bin/echo"], capture_output=True, text=True, check=False,
        timeout=PATIENCE_S, env={"LAMBDA_TASK_ROOT": "/nowhere", "INFERIR_PYTHON": "/bin/echo"},
    )  # fmt: skip
    assert bare.stdout == "-I -S /nowhere/start.py\n"
