"""A program: what a model is once it is bound. A list of kernel calls, as data, that runs without knowing any operator.

    steps.py      what a program consists of
    problems.py   what a row did wrong, in words
    arrays.py     runs it on NumPy arrays, one Python call per kernel: backends jit and reference

Programs are numbers, strings and tuples, so that one can be made where NumPy is and run where it is not.
"""
