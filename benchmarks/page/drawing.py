"""Pictures as SVG with words as words, in one style."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

__all__ = ["COLORS", "INK", "STYLE", "plt", "save"]

#: The same figures give the same bytes, which version control likes.
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "inferir",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "#fbfbfd",
    "axes.facecolor": "#fbfbfd",
}
COLORS, INK = ("#9dc1ef", "#3b6fb6", "#3a8350", "#b27a18"), "#1f2430"


def save(figure: Any, path: Path) -> Path:
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
    return path
