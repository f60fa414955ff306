"""Boxes, arrows and words as SVG, on a light card: they can be read on a light page and on a dark one."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["Drawing"]

_SANS = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
_MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_INK, _SOFT, _CARD, _EDGE = "#1f2430", "#566070", "#fbfbfd", "#c9ced8"

#: Name -> fill and line.
_COLORS = {
    "grey": ("#eceff3", "#8a93a0"),
    "blue": ("#e1ecfb", "#3b6fb6"),
    "green": ("#e0f2e5", "#3a8350"),
    "amber": ("#fdefd5", "#b27a18"),
    "white": ("#ffffff", "#c9ced8"),
}


class Drawing:
    """Shapes on a card. Sizes are pixels; `title` is what a screen reader says."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self._parts: list[str] = []

    def box(
        self, x: float, y: float, w: float, h: float, lines: Sequence[str], color: str = "grey", **text: bool
    ) -> None:
        """A rounded box; its first line is bold."""
        fill, line = _COLORS[color]
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="6" fill="{fill}" stroke="{line}"/>'
        )
        top = y + h / 2 - (len(lines) - 1) * 8.5
        for i, words in enumerate(lines):
            self.text(x + w / 2, top + 17 * i + 4.5, words, bold=i == 0, anchor="middle", **text)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        bold: bool = False,
        mono: bool = False,
        soft: bool = False,
        anchor: str = "start",
        size: float = 13,
    ) -> None:
        """Words on the line y."""
        weight = ' font-weight="600"' if bold else ""
        family = f' font-family="{_MONO}"' if mono else ""
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}" fill="{_SOFT if soft else _INK}"'
            f"{weight}{family}>{escape(words)}</text>"
        )

    def arrow(self, *points: tuple[float, float]) -> None:
        """A line through the points, with a head at its end."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{_SOFT}" stroke-width="1.4" marker-end="url(#head)"/>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        self._parts.append(f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{_SOFT}"/>')

    def svg(self) -> str:
        """The whole file."""
        width, height = f"{self.width:g}", f"{self.height:g}"
        return f"""\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" \
font-family="{_SANS}">
<title>{escape(self.title)}</title>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">\
<path d="M0,0 L8,4 L0,8 z" fill="{_SOFT}"/></marker></defs>
<rect x="0.5" y="0.5" width="{self.width - 1:g}" height="{self.height - 1:g}" rx="10" fill="{_CARD}" stroke="{_EDGE}"/>
{chr(10).join(self._parts)}
</svg>
"""
