"""The WebAssembly module on recorded arguments, in wasmtime and, through loader.mjs, in Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import inferir.kernels.wasm
from inferir.kernels.aot import library, manifest
from inferir.kernels.signatures import KERNELS
from tests.kernels.aot.recorded import Image, record
from tests.patience import PATIENCE_S

wasmtime: Any = pytest.importorskip("wasmtime")

LOADER = Path(inferir.kernels.wasm.__file__).with_name("loader.mjs")
NODE = shutil.which("node")

#: Stack and constants lie below, and what a page more could hold.
BASE = 0x10_0000

RUN = """
import fs from "node:fs";
const [loader, module, path, base] = process.argv.slice(2);
const { load } = await import(loader);
const kernels = await load(fs.readFileSync(module));
const image = fs.readFileSync(path);
kernels.allocate(Number(base) + image.length);
kernels.u8(Number(base), image.length).set(image);
const count = Number(kernels.i64(Number(base), 1)[0]);
const steps = kernels.i64(Number(base) + 8, 3 * count);
for (let i = 0; i < count; i++) steps[3 * i] = kernels.address(kernels.names[Number(steps[3 * i])]);
const stopped = kernels.run(Number(base) + 8, count);
fs.writeFileSync(path, kernels.u8(Number(base), image.length));
let missing = "";
try { kernels.address("no_kernel"); } catch (error) { missing = error.message; }
console.log(JSON.stringify({ stopped, names: kernels.names, digest: String(kernels.digest), missing }));
"""


@pytest.fixture(scope="module")
def module(libraries: Path) -> Path:
    return libraries / "kernels.wasm"


@pytest.fixture(scope="module")
def image(module: Path) -> Image:
    return record(BASE)


def test_one_abi() -> None:
    assert f"export const ABI_VERSION = {library.ABI_VERSION}n;" in LOADER.read_text()


def test_in_wasmtime(module: Path, image: Image) -> None:
    store = wasmtime.Store()
    instance = wasmtime.Instance(store, wasmtime.Module(store.engine, module.read_bytes()), [])
    exports = instance.exports(store)
    memory = exports["memory"]
    memory.grow(store, (BASE + len(image.memory)) // 65536 + 1)
    memory.write(store, image.memory, BASE)
    n_steps = len(KERNELS)
    for step in range(n_steps):
        address = exports["inferir_kernel"](store, step)
        assert address > 0
        memory.write(store, address.to_bytes(8, "little"), BASE + 8 * (1 + 3 * step))
    assert exports["inferir_abi_version"](store) == library.ABI_VERSION
    assert exports["inferir_digest"](store) == manifest.signatures_digest()
    assert exports["inferir_kernel"](store, n_steps) == 0
    assert exports["inferir_run"](store, BASE + 8, n_steps) == -1
    image.check(bytes(memory.read(store, BASE, BASE + len(image.memory))))


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_in_node(module: Path, image: Image, tmp_path: Path) -> None:
    script, path = tmp_path / "run.mjs", tmp_path / "image"
    script.write_text(RUN)
    path.write_bytes(image.memory)
    command = [str(NODE), str(script), str(LOADER), str(module), str(path), str(BASE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["stopped"] == -1
    assert said["names"] == list(KERNELS)
    assert said["digest"] == str(manifest.signatures_digest())
    assert said["missing"] == 'there is no kernel "no_kernel"'
    image.check(path.read_bytes())


def test_module_has_no_imports_and_few_exports(module: Path) -> None:
    compiled = wasmtime.Module(wasmtime.Engine(), module.read_bytes())
    assert not list(compiled.imports)
    assert {export.name for export in compiled.exports} == {
        *("memory", "__indirect_function_table", "__heap_base"),
        *("inferir_abi_version", "inferir_digest", "inferir_names", "inferir_kernel", "inferir_run", "inferir_rows"),
    }
