"""Explanations: Shapley values of a model's score, column by column.

    answer.py    from what a model answers back to the forests and linear models whose weighted sum it is
    columns.py   from what those see back to the input columns
    forests.py   the arrays that the kernel wants beside a forest's own
    explainer.py puts them together: rows -> values

What is explained is the model's raw score where it has one, else what it predicts or the probabilities. The operators
of a model stay what they are: an explanation is a program of its own, which shares the steps in front of a forest.
"""

from inferir.explain.explainer import Explainer

__all__ = ["Explainer"]
