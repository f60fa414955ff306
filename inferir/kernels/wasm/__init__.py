"""The kernels as a WebAssembly module, and `loader.mjs`, which loads it: in Node, in browsers, at the edge.

The module is one of the libraries that kernels/aot builds: the same bodies, exports and blocks, with SIMD and without
imports. An address is a place in its memory, that of a kernel a place in its table.
"""
