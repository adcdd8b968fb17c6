"""A backtest's result as one HTML page for marketing and sales: nothing in it comes from elsewhere or runs. Text in, text out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from mqlstream.backtest.chart import chart
from mqlstream.backtest.comparison import BECOMES, MOVES, STAYS, STOPS
from mqlstream.backtest.reasons import Reason, in_words

MOST = 1000  # leads in one table
_NONE = "–"  # noqa: RUF001 (an en dash, as one sets it in a table)

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2430; max-width: 68rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; line-height: 1.25 } h2 { font-size: 1.2rem; margin-top: 2.5rem }
table { border-collapse: collapse; width: 100%; font-size: .9rem } caption { text-align: left; color: #5b6675; padding: .3rem 0 }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #dde2e8; vertical-align: top; overflow-wrap: anywhere }
th { border-bottom-color: #8b96a5 } .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.sums { display: flex; flex-wrap: wrap; gap: 1rem; padding: 0; list-style: none }
.sums li { border: 1px solid #dde2e8; border-radius: .5rem; padding: .6rem 1rem } .sums b { display: block; font-size: 1.6rem }
.chart { overflow-x: auto } .old { fill: #9aa5b4 } .new { fill: #2563a8 } svg text { font: 11px system-ui, sans-serif; fill: #5b6675 }
.note { color: #5b6675; font-size: .9rem } code, pre { font-size: .85rem } pre { white-space: pre-wrap; overflow-wrap: anywhere }
"""
_BIAS = (
    "Sales answers only what it was handed. A lead that only the new definition hands off mostly has no answer, so the figures of the new "
    "definition are about the leads that both hand off. A precision that stays the same says nothing about the leads that are added."
)

Cells = Sequence[str]


def page(result: Mapping[str, Any], zone: ZoneInfo, command: str) -> str:
    """The page of a result as ``backtest --format json`` prints it. Days are those of ``zone``; ``command`` gave the result."""
    new, old, summary = result["new"], result["old"], result["summary"]
    title = f"Backtest of {_named(new)}" + (f" against {_named(old)}" if old else "")
    parts = [
        f"<h1>{escape(title)}</h1>",
        _table("", ("", "definition", "version", "digest"), _definitions(new, old), numbers=(2,)),
        _sums(summary, compared=old is not None),
        f"<h2>MQLs by week</h2>{chart(summary['weeks'], compared=old is not None)}",
        *_leads(result["leads"], zone, compared=old is not None),
        *_feedback(result["feedback"]),
        f"<h2>How this was made</h2><p>Times are {escape(zone.key)}.</p><pre>{escape(command)}</pre>",
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def _named(head: Mapping[str, Any]) -> str:
    return f"{head['id']} version {head['version']} ({head['digest'][:12]})"


def _definitions(new: Mapping[str, Any], old: Mapping[str, Any] | None) -> list[Cells]:
    heads = [("old", old), ("new", new)]
    return [(name, str(head["id"]), str(head["version"]), str(head["digest"])) for name, head in heads if head]


def _sums(summary: Mapping[str, Any], *, compared: bool) -> str:
    mqls, moved = summary["mqls"], summary["median_days_moved"]
    told = [(mqls["new"], "MQLs under the new definition")]
    if compared:
        told = [(mqls["old"], "MQLs under the old definition"), *told]
        told += [
            (summary[BECOMES], "leads that become MQLs"),
            (summary[STOPS], "leads that stop being MQLs"),
            (summary[MOVES], "leads that become MQLs on another day"),
            (summary[STAYS], "leads that stay as they are"),
        ]
        if moved is not None:
            told.append((f"{moved:+g}", "days: the median of those that move"))
    return '<ul class="sums">' + "".join(f"<li><b>{escape(str(number))}</b>{escape(text)}</li>" for number, text in told) + "</ul>"


def _leads(rows: Sequence[Mapping[str, Any]], zone: ZoneInfo, *, compared: bool) -> Iterable[str]:
    """A table for each change. A lead without an old definition to compare with simply is an MQL."""

    def side(name: str) -> Callable[[Mapping[str, Any]], Cells]:
        return lambda row: (row["lead_id"], _time(row[name], zone), _total(row[name]), _why(row["reasons"], compared=compared))

    columns = ("lead", "MQL since", "score", "why")
    yield _some("Leads that become MQLs", columns, [row for row in rows if row["change"] == BECOMES], side("new"), numbers=(2,))
    if compared:
        yield _some("Leads that stop being MQLs", columns, [row for row in rows if row["change"] == STOPS], side("old"), numbers=(2,))
        yield _some(
            "Leads that become MQLs on another day",
            ("lead", "old", "new", "days later", "why"),
            [row for row in rows if row["change"] == MOVES],
            lambda row: (
                row["lead_id"],
                _time(row["old"], zone),
                _time(row["new"], zone),
                f"{row['days']:+d}",
                _why(row["reasons"], compared=True),
            ),
            numbers=(3,),
        )


def _some(
    heading: str,
    columns: Cells,
    rows: Sequence[Mapping[str, Any]],
    cells: Callable[[Mapping[str, Any]], Cells],
    *,
    numbers: Sequence[int],
) -> str:
    head = f"<h2>{escape(heading)}</h2>"
    if not rows:
        return f"{head}<p>None.</p>"
    caption = f"{len(rows):,} leads" if len(rows) <= MOST else f"The first {MOST:,} of {len(rows):,} leads; --format jsonl has all"
    return head + _table(caption, columns, [cells(row) for row in rows[:MOST]], numbers=numbers)


def _feedback(feedback: Mapping[str, Any] | None) -> Iterable[str]:
    yield "<h2>What sales thinks</h2>"
    if feedback is None:
        yield "<p>The events hold no answers of sales, so nothing can be said about precision.</p>"
        return
    sides = [side for side in ("old", "new") if feedback[side] is not None]
    names = ("mqls", "accepted", "rejected", "unanswered")
    rows = [
        (side, *(str(feedback[side][name]) for name in names), _percent(feedback[side]["precision"]), _percent(feedback[side]["recall"]))
        for side in sides
    ]
    yield _table("", ("", "MQLs", "accepted", "rejected", "unanswered", "precision", "recall"), rows, numbers=range(1, 7))
    yield (
        '<p class="note">Precision: accepted of the MQLs that were answered. Recall: of all leads that sales accepted, those that are MQLs '
        f"under the definition. {escape(_BIAS)}</p><h2>Rules</h2>"
    )
    lines = []
    for each in feedback["rules"]:
        found = [each[side] or {} for side in sides]
        counts = [str(line.get("mqls", 0)) for line in found]
        lines.append((each["rule"], *counts, *(_percent(line.get("acceptance")) for line in found), *(_lift(line) for line in found)))
    columns = ["rule", *(f"{what}, {side}" for what in ("MQLs", "accepted", "lift") for side in sides)]
    yield _table("By the MQLs to which a rule contributed", columns, lines, numbers=range(1, len(columns)))
    yield (
        '<p class="note">Lift: acceptance among the MQLs with the rule, over acceptance of all. Well below 1: sales thinks less of the '
        "rule than the definition does.</p>"
    )


def _table(caption: str, columns: Cells, rows: Iterable[Cells], *, numbers: Iterable[int]) -> str:
    right = set(numbers)
    shape = ['<{0} class="n">{1}</{0}>' if place in right else "<{0}>{1}</{0}>" for place in range(len(columns))]

    def line(tag: str, cells: Cells) -> str:
        return "<tr>" + "".join(form.format(tag, escape(cell)) for form, cell in zip(shape, cells, strict=True)) + "</tr>"

    told = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{told}<thead>{line('th', columns)}</thead>\n<tbody>" + "\n".join(line("td", row) for row in rows) + "</tbody></table>"


def _time(mql: Mapping[str, Any], zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(mql['qualified_at'] / 1000, zone):%Y-%m-%d %H:%M}"


def _total(mql: Mapping[str, Any]) -> str:
    return f"{mql['score']['total']:.2f}"


def _why(reasons: Iterable[Reason], *, compared: bool) -> str:
    return "; ".join(in_words(each, compared=compared, arrow="→") for each in reasons) or _NONE


def _percent(ratio: float | None) -> str:
    return _NONE if ratio is None else f"{100 * ratio:.1f}%"


def _lift(line: Mapping[str, Any]) -> str:
    return _NONE if line.get("lift") is None else f"{line['lift']:.2f}"
