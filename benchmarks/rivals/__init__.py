"""Ours beside other libraries, on the same models and rows: `python -m benchmarks.rivals`.

    cases.py           models, trained here, and what is asked of them
    ours.py            inferir, one peer for each backend
    scikit_learn.py    the library that trained them
    onnx_runtime.py    onnxruntime, through skl2onnx
    __main__.py        calls that take turns, answers compared, a table

A peer is a function from a case to a call, or to None where it has no such model.
"""
