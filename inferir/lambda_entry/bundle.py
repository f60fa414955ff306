"""All modules of a start as one file of compiled code, and the few lines that import from it.

Python looks for each module in each folder, asks for its time and size, opens and reads it: 0.2 ms and more a module,
and a start has thirty. `inferir package` compiles them with the interpreter that will run them and writes them to one
file, which is read once. Another interpreter does not see it, and takes the sources beside it.

Annotations, docstrings and assertions are left out, as under -OO.
"""

from __future__ import annotations

import marshal
import subprocess
from collections.abc import Mapping
from typing import Any

from inferir.errors import BackendError

__all__ = ["START", "cache_tag", "compile_bundle", "compile_modules"]

_TIMEOUT_S = 60

#: The script that starts the process. It is compiled at each start, so it is short.
START = '''"""Starts Inferir in AWS Lambda; made by `inferir package`."""
import sys
root = sys.argv[0].rpartition("/")[0] or "."
sys.path.insert(0, root)
try:
    with open(root + "/bundle." + sys.implementation.cache_tag, "rb") as file:
        import marshal
        modules = marshal.loads(file.read())
except OSError:  # compiled for another interpreter: the sources will do
    modules = {}
class Bundle:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in modules:
            is_package, file, _ = modules[name]
            spec = type(sys.__spec__)(name, Bundle, origin=root + file, is_package=is_package)
            spec.has_location = True
            return spec
    @staticmethod
    def create_module(spec):
        return None
    @staticmethod
    def exec_module(module):
        exec(marshal.loads(modules[module.__name__][2]), module.__dict__)
sys.meta_path.insert(0, Bundle)
if __name__ == "__main__":
    from inferir.lambda_entry.__main__ import main
    main()
'''

#: Runs in the interpreter that the bundle is for: modules on standard input, their bundle on standard output. Each is
#: marshalled by itself, so that one which a start does not need costs it nothing; and twice, because which objects
#: are written as references depends on who else holds them, until they come out of marshal themselves.
_COMPILE = """
import __future__, importlib.util, marshal, sys
modules, header = {}, importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little")
for name, is_package, file, source in marshal.loads(sys.stdin.buffer.read()):
    source = source.replace("from __future__ import annotations\\n", "\\n")
    flags = __future__.annotations.compiler_flag
    code = compile(source, "/var/task" + file, "exec", flags=flags, dont_inherit=True, optimize=2)
    data = marshal.dumps(marshal.loads(marshal.dumps(code)))
    pyc = header + importlib.util.source_hash(source.encode()) + data
    modules[name] = (is_package, file, pyc if sys.argv[1] == "pyc" else data)
sys.stdout.buffer.write(marshal.dumps(modules, 2))
"""


def cache_tag(interpreter: str) -> str:
    """The tag of an interpreter's compiled code, "cpython-313". Raises BackendError where it cannot be run."""
    return _run(interpreter, "import sys; sys.stdout.write(sys.implementation.cache_tag)").decode()


def compile_bundle(interpreter: str, modules: Mapping[str, tuple[bool, str, str]]) -> bytes:
    """The bundle for an interpreter. `modules`: name -> whether it is a package, its file in the zip, its source."""
    return _run(interpreter, _COMPILE, marshal.dumps(_rows(modules), 2), "bundle")


def compile_modules(interpreter: str, modules: Mapping[str, tuple[bool, str, str]]) -> dict[str, bytes]:
    """The same as files of their own in __pycache__: for AWS's runtime, which imports as Python does.

    They are not compared with their sources (PEP 552, unchecked), which are beside them and cannot change.
    """
    tag = cache_tag(interpreter)
    compiled = marshal.loads(_run(interpreter, _COMPILE, marshal.dumps(_rows(modules), 2), "pyc"))
    files = {}
    for _, file, data in compiled.values():
        folder, _, name = file.lstrip("/").rpartition("/")
        files[f"{folder}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc"] = data
    return files


def _rows(modules: Mapping[str, tuple[bool, str, str]]) -> Any:
    return [(name, *about) for name, about in sorted(modules.items())]


def _run(interpreter: str, code: str, given: bytes = b"", *arguments: str) -> bytes:
    command = [interpreter, "-s", "-S", "-c", code, *arguments]
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, timeout=_TIMEOUT_S, check=True, env={"PYTHONHASHSEED": "0"}
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", b"") or b""
        text = said.decode("utf-8", "replace").strip()
        raise BackendError(f"expected a Python that can be run at {interpreter!r}, got {error}; {text}") from error
    return done.stdout
