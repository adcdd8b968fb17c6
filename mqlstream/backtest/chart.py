"""MQLs by week as bars, in SVG within the page. Text in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_HEIGHT = 160  # of the highest bar
_TOP = 18  # room for the numbers above bars
_BOTTOM = 22  # and for the days below
_LABEL = 72  # a day as text takes this wide


def chart(weeks: Sequence[Mapping[str, Any]], *, compared: bool) -> str:
    """A bar per week and definition. A week is ``{"week", "monday", "old", "new"}``."""
    if not weeks:
        return "<p>None.</p>"
    sides = ("old", "new") if compared else ("new",)
    bar = 26 if len(weeks) <= 16 else 12
    step = bar * len(sides) + 8
    every = -(-_LABEL // step)  # weeks between two labels
    most = max(1, *(week[side] for week in weeks for side in sides))
    width, bottom = max(len(weeks) * step, _LABEL) + _LABEL, _TOP + _HEIGHT
    drawn = []
    for number, week in enumerate(weeks):
        for place, side in enumerate(sides):
            drawn.append(_bar(week, side, number * step + place * bar, bar, round(_HEIGHT * week[side] / most, 1)))
        if number % every == 0:
            drawn.append(f'<text x="{number * step}" y="{bottom + 16}">{escape(week["monday"])}</text>')
    legend = "Grey: old definition. Blue: new definition. " if compared else ""
    return (
        f'<div class="chart"><svg width="{width}" height="{bottom + _BOTTOM}" role="img" aria-label="MQLs by week">'
        + "".join(drawn)
        + f'</svg></div><p class="note">{legend}Weeks begin on the Monday below; a lead counts each time it becomes an MQL.</p>'
    )


def _bar(week: Mapping[str, Any], side: str, x: int, width: int, height: float) -> str:
    y = round(_TOP + _HEIGHT - height, 1)
    title = escape(f"{week['week']}, {side}: {week[side]}")
    told = f'<text x="{x + width / 2 - 1:g}" y="{y - 4:g}" text-anchor="middle">{week[side]}</text>' if week[side] else ""
    return f'<rect class="{side}" x="{x}" y="{y:g}" width="{width - 2}" height="{height:g}"><title>{title}</title></rect>{told}'
