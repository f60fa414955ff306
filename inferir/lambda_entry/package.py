"""Builds what is deployed: a zip for Lambda, or a folder for a container image, and the templates beside it.

A package has the modules of a start and of rare events, the kernels of one architecture, and the model with its plan;
no NumPy, no Numba. The same model, options and version of Inferir make the same bytes.

    up to 50 MB       the model is in the zip
    up to 200 MB      in a layer, a zip of its own, that Lambda mounts at /opt
    beyond            in a bucket; the function fetches it to /tmp when it starts and checks it
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import inferir
from inferir.errors import BackendError, InvalidInputError
from inferir.formats import apr
from inferir.formats.prepared import nbytes_of, without_tables
from inferir.kernels.aot import library, manifest
from inferir.lambda_entry import packaged, templates
from inferir.lambda_entry.adapter import plan_of
from inferir.lambda_entry.bundle import START, cache_tag, compile_bundle, compile_modules
from inferir.prepare import prepare
from inferir.program.frozen import freeze

__all__ = ["ARCHITECTURES", "RUNTIMES", "Options", "Package", "build"]

#: Lambda's word for an architecture -> the machine that Linux calls so.
ARCHITECTURES = {"x86_64": "x86_64", "arm64": "aarch64"}

#: Levels of kernels that are not packaged. v2: all of Lambda's x86 processors have AVX2, which is v3
#: (docs.aws.amazon.com/lambda/latest/dg/runtimes-avx2.html). v4: it would make the zip larger than half a megabyte, and
#: only some of them have AVX-512.
_LEFT_OUT = frozenset({"v2", "v4"})

#: Runtime -> the version of the Python that runs there; None where the function brings it.
RUNTIMES: Mapping[str, str | None] = {
    "python3.12": "3.12",
    "python3.13": "3.13",
    "python3.14": "3.14",
    "provided.al2023": None,
}

#: Where the model goes, by its size.
EMBEDDED_BYTES, LAYER_BYTES = 50_000_000, 200_000_000

#: What is in the zip. Modules that a start does not import are there for what is rare: a wrong column name, a batch.
MODULES = (
    *("inferir", "inferir.errors", "inferir.payload"),
    *("inferir.rows", "inferir.rows.plain", "inferir.rows.names"),
    *("inferir.kernels", "inferir.kernels.aot", "inferir.kernels.aot.library"),
    *("inferir.program", "inferir.program.frozen", "inferir.program.frames", "inferir.program.problems"),
    *("inferir.lambda_entry", "inferir.lambda_entry.__main__", "inferir.lambda_entry.call"),
    *("inferir.lambda_entry.client", "inferir.lambda_entry.errors", "inferir.lambda_entry.events"),
    *("inferir.lambda_entry.function", "inferir.lambda_entry.handler", "inferir.lambda_entry.instances"),
    *("inferir.lambda_entry.jsontext", "inferir.lambda_entry.logs", "inferir.lambda_entry.loop"),
    *("inferir.lambda_entry.managed", "inferir.lambda_entry.metrics", "inferir.lambda_entry.packaged"),
    *("inferir.lambda_entry.protocol", "inferir.lambda_entry.records", "inferir.lambda_entry.remote"),
    *("inferir.lambda_entry.s3", "inferir.lambda_entry.settings", "inferir.lambda_entry.snapstart"),
    *("inferir.lambda_entry.start", "inferir.lambda_entry.streaming"),
)

_SOURCES = Path(inferir.__file__).parent

#: Times in a zip begin in 1980.
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Options:
    """What is built.

    arch         "x86_64" or "arm64".
    runtime      one of RUNTIMES.
    interpreter  a Python of the runtime's version on this machine, by which modules are compiled; None: looked for.
    python       folder with a Python for Lambda's Linux, put into the zip: for provided.al2023 without a layer that has
                 one.
    model_url    s3://bucket/key where a model that is too large for a layer will be.
    entry        "loop": our own runtime; "handler": AWS's, with the handler inferir.lambda_entry.handler.handle.
    """

    arch: str = "arm64"
    runtime: str = "python3.13"
    interpreter: str | None = None
    python: Path | None = None
    model_url: str | None = None
    entry: str = "loop"


@dataclass(frozen=True)
class Package:
    """Files by their names in the zip, with those of a layer where there is one, and notes for whoever builds it."""

    name: str
    options: Options
    files: dict[str, bytes]
    layer: dict[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    executable: frozenset[str] = frozenset({"bootstrap"})

    def zip(self) -> bytes:
        """The zip of the function."""
        return _zip(self.files, self.executable)

    def write_zip(self, path: Path) -> list[Path]:
        """Write the zip, template and deploy script beside it; the files that were written."""
        path.parent.mkdir(parents=True, exist_ok=True)
        written = {path: self.zip()}
        layer = path.with_name(path.stem + "-layer.zip") if self.layer else None
        if layer is not None:
            written[layer] = _zip(self.layer, frozenset())
        template, script = path.with_suffix(".yaml"), path.with_name(path.stem + "-deploy.sh")
        written[template] = templates.sam(self, path.name, layer.name if layer else None).encode()
        written[script] = templates.deploy(self, template.name).encode()
        for target, data in written.items():
            target.write_bytes(data)
        script.chmod(0o755)
        return list(written)

    def write_image(self, folder: Path) -> list[Path]:
        """Write a folder to build a container image from."""
        context = folder / "task"
        if context.exists():
            shutil.rmtree(context)
        for name, data in {**self.files, **self.layer}.items():
            target = context / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            target.chmod(0o755 if name in self.executable or name.endswith(".so") else 0o644)
        dockerfile, ignore = folder / "Dockerfile", folder / ".dockerignore"
        dockerfile.write_text(templates.dockerfile(self))
        ignore.write_text("*\n!task\n")
        return [dockerfile, ignore, context]


def build(contents: bytes, options: Options) -> Package:
    """The package of the model in the .apr file `contents`.

    Raises FormatError for bytes that are no model, BackendError (E009) where kernels or an interpreter are missing,
    InvalidInputError (E006) where options do not fit.
    """
    if options.arch not in ARCHITECTURES:
        raise InvalidInputError(f"arch: expected {' or '.join(ARCHITECTURES)}, got {options.arch!r}")
    if options.runtime not in RUNTIMES:
        raise InvalidInputError(f"runtime: expected one of {', '.join(RUNTIMES)}, got {options.runtime!r}")
    if len(contents) <= LAYER_BYTES:
        contents = _plain(contents)
    sources = _sources()
    files = {file.lstrip("/"): source.encode() for _, file, source in sources.values()}
    files |= _kernels(options.arch)
    name, model = _model(contents)
    layer: dict[str, bytes] = {}
    notes: list[str] = []
    if len(contents) > LAYER_BYTES:
        if options.model_url is None:
            raise InvalidInputError(
                f"a model of {len(contents)} bytes fits neither zip nor layer; expected the s3:// URL where it will be"
            )
        about = {"url": options.model_url, "nbytes": len(contents), "sha256": hashlib.sha256(contents).hexdigest()}
        model[packaged.REMOTE] = json.dumps(about, indent=1).encode()
        notes.append(f"copy the model to {options.model_url}")
    elif len(contents) > EMBEDDED_BYTES:
        layer[f"model/{packaged.MODEL}"] = contents
    else:
        model[packaged.MODEL] = contents
    files |= {f"model/{file}": data for file, data in model.items()}
    files["start.py"] = START.encode()
    files["bootstrap"] = templates.bootstrap(options.runtime).encode()
    executable = {"bootstrap"}
    if options.python is not None:
        found = {
            f"python/{p.relative_to(options.python).as_posix()}": p for p in options.python.rglob("*") if p.is_file()
        }
        files |= {file: path.read_bytes() for file, path in found.items()}
        executable |= {file for file, path in found.items() if path.stat().st_mode & 0o100}
    note = _compile(files, sources, options)
    if note:
        notes.append(note)
    return Package(name, options, files, layer, tuple(notes), frozenset(executable))


def _sources() -> dict[str, tuple[bool, str, str]]:
    """Module -> whether it is a package, its file in the zip, its source."""
    found = {}
    for name in MODULES:
        path = _SOURCES.joinpath(*name.split(".")[1:])
        is_package = path.is_dir()
        path = path / "__init__.py" if is_package else path.with_suffix(".py")
        file = "/inferir/" + path.relative_to(_SOURCES).as_posix()
        found[name] = (is_package, file, path.read_text(encoding="utf-8"))
    return found


def _kernels(arch: str) -> dict[str, bytes]:
    """The libraries of an architecture, under their names in the zip."""
    problem = manifest.problem()
    if problem is not None:
        raise BackendError(f"a package needs compiled kernels, and {problem}")
    folder = Path(library.FOLDER)
    wanted = [file for level, file, _ in library.LEVELS[ARCHITECTURES[arch]] if level not in _LEFT_OUT]
    missing = [file for file in wanted if not (folder / file).is_file()]
    if missing:
        raise BackendError(f"expected compiled kernels for {arch} at {', '.join(str(folder / f) for f in missing)}")
    return {f"inferir/kernels/aot/lib/{file}": (folder / file).read_bytes() for file in wanted}


def _plain(contents: bytes) -> bytes:
    """The file without the tables of `convert`: those that kernels use are beside the plan."""
    spec = apr.read(contents)
    return apr.to_bytes(without_tables(spec)) if nbytes_of(spec) else contents


def _model(contents: bytes) -> tuple[str, dict[str, bytes]]:
    """The model's name, and the files of its plan."""
    spec = apr.read(contents)
    ready = prepare(spec, fewest_nodes=0)  # compiled kernels make better tables than the reference
    plan = plan_of(ready, "reference")  # binding checks the model; nothing is run
    facts = {
        "name": spec.name,
        "version": spec.model_version,
        "task": spec.task,
        "columns": tuple((column.name, column.kind, column.categories) for column in spec.columns),
        "classes": spec.classes,
    }
    written, arrays = freeze(contents, facts, plan.programs, plan.arrays, manifest.signatures_digest())
    return spec.name, {packaged.PLAN: written, packaged.ARRAYS: arrays}


def _compile(files: dict[str, bytes], sources: dict[str, tuple[bool, str, str]], options: Options) -> str | None:
    """Add the bundle; what to say where there is no interpreter to make it."""
    version = RUNTIMES[options.runtime]
    interpreter = options.interpreter or (_found(f"python{version}") if version else None)
    if interpreter is None:
        wanted = f"Python {version}" if version else "the Python that the function brings"
        return f"the modules are not compiled, which makes each start slower: give {wanted} as interpreter"
    tag = cache_tag(interpreter)
    if version is not None and tag != f"cpython-{version.replace('.', '')}":
        raise InvalidInputError(f"interpreter: expected Python {version} for {options.runtime}, got {tag}")
    if options.entry == "handler":
        files.update(compile_modules(interpreter, sources))
    else:
        files[f"bundle.{tag}"] = compile_bundle(interpreter, sources)
    return None


def _found(name: str) -> str | None:
    """A command on this machine that is the Python its name says; some are there and do not run."""
    path = shutil.which(name)
    try:
        return path if path is not None and cache_tag(path) else None
    except BackendError:
        return None


def _zip(files: Mapping[str, bytes], executable: frozenset[str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix, whatever this machine is: permissions count
            entry.external_attr = (0o100755 if name in executable else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name], compresslevel=9)
    return buffer.getvalue()
