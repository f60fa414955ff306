"""A program: what a model is once it is bound. A list of kernel calls, as data, that runs without knowing any operator.

    steps.py      what a program consists of
    problems.py   what a row did wrong, in words
    arrays.py     runs it on NumPy arrays, one Python call for each kernel: backends jit and reference
    frames.py     lays it out in memory, to be run by one native call: backend aot
    native.py     runs frames on NumPy arrays
    frozen.py     keeps programs in a file, and answers from there without NumPy

Programs are numbers, strings and tuples, so that one can be made where NumPy is and run where it is not.
"""

#: Dimensions of a buffer that are known when rows come: their number, and the smaller of that and BLOCK_ROWS.
ROWS, BLOCK = -1, -2

#: What an argument of a step refers to.
BUFFER, ARRAY = "buffer", "array"
