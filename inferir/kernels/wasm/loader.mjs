// The kernels of a compiled module (kernels.wasm), for Node, browsers and edge runtimes.
//
//     const kernels = await load(bytes);           // bytes of kernels.wasm, or a WebAssembly.Module
//     const block = kernels.allocate(8 * 6);       // an address in the module's memory
//     kernels.i64(block, 6).set([x, 2n, 3n, out, 2n, 3n]);
//     const steps = kernels.allocate(8 * 3);
//     kernels.i64(steps, 3).set([kernels.address("softmax_f64"), BigInt(block), 0n]);
//     kernels.run(steps, 1);                       // -1, or the number of the step that stopped
//
// What blocks and steps look like is written in docs/reference/kernel-abi.md. Numbers of 64 bits are BigInt. A view
// (i64, f64, ...) is good until memory grows, which `allocate` may do: take it anew.

// As signatures.ABI_VERSION; a test compares them.
export const ABI_VERSION = 12n;

const PAGE_NBYTES = 65536;
const LINE_NBYTES = 64;

export async function load(source) {
  const module = source instanceof WebAssembly.Module ? source : await WebAssembly.compile(source);
  return new Kernels(await WebAssembly.instantiate(module, {}));
}

export class Kernels {
  #exports;
  #end;
  #places = new Map();

  constructor(instance) {
    this.#exports = instance.exports;
    const version = this.#exports.inferir_abi_version();
    if (version !== ABI_VERSION) {
      throw new Error(`expected kernels of ABI version ${ABI_VERSION}, got ${version}`);
    }
    this.#end = this.#exports.__heap_base.value;
    for (const [place, name] of this.#readNames().entries()) {
      this.#places.set(name, place);
    }
  }

  /** Digest of the table of kernels that the module was built from. */
  get digest() {
    return this.#exports.inferir_digest();
  }

  /** Names of the kernels, in the order of the table. */
  get names() {
    return [...this.#places.keys()];
  }

  get memory() {
    return this.#exports.memory;
  }

  /** Address of a kernel, as steps have it. */
  address(name) {
    const place = this.#places.get(name);
    if (place === undefined) {
      throw new Error(`there is no kernel ${JSON.stringify(name)}`);
    }
    return this.#exports.inferir_kernel(BigInt(place));
  }

  /** Address of `nbytes` new bytes, at the begin of a cache line. They are never given back. */
  allocate(nbytes) {
    const begin = Math.ceil(this.#end / LINE_NBYTES) * LINE_NBYTES;
    const missing = begin + nbytes - this.memory.buffer.byteLength;
    if (missing > 0) {
      this.memory.grow(Math.ceil(missing / PAGE_NBYTES));
    }
    this.#end = begin + nbytes;
    return begin;
  }

  /** Run `count` steps: -1, or the number of the step whose problem stopped the run. */
  run(steps, count) {
    return Number(this.#exports.inferir_run(steps, BigInt(count)));
  }

  u8(address, length) {
    return new Uint8Array(this.memory.buffer, address, length);
  }

  i32(address, length) {
    return new Int32Array(this.memory.buffer, address, length);
  }

  i64(address, length) {
    return new BigInt64Array(this.memory.buffer, address, length);
  }

  f32(address, length) {
    return new Float32Array(this.memory.buffer, address, length);
  }

  f64(address, length) {
    return new Float64Array(this.memory.buffer, address, length);
  }

  #readNames() {
    const begin = this.#exports.inferir_names();
    const bytes = new Uint8Array(this.memory.buffer);
    const text = new TextDecoder().decode(bytes.subarray(begin, bytes.indexOf(0, begin)));
    return text.split("\n").slice(0, -1);
  }
}
