"""The tables of the reference page, made from `fields`: one per construct. The prose around them stands in the page itself.

A page has a marker where a table belongs, ``<!-- fields of rule -->``, and the table after it up to ``<!-- end -->``.
"""

from __future__ import annotations

import re

from mqlstream.definition import types
from mqlstream.definition.conditions import ORDERED
from mqlstream.definition.fields import CONSTRUCTS, NOT_YET
from mqlstream.definition.types import Construct, Field, Type, expected

_TABLE = re.compile(r"<!-- fields of (\w+) -->\n.*?<!-- end -->", re.DOTALL)
_HEAD = "| key | takes | default | | for example |\n|---|---|---|---|---|\n"


def refreshed(page: str, not_yet: frozenset[str] = NOT_YET) -> str:
    """The page with every table made anew. Raises `KeyError` for a marker that names no construct."""
    return _TABLE.sub(lambda found: f"<!-- fields of {found[1]} -->\n\n{table(CONSTRUCTS[found[1]], not_yet)}\n<!-- end -->", page)


def tables_in(page: str) -> list[str]:
    """The names of the constructs whose tables the page has, in order."""
    return [found[1] for found in _TABLE.finditer(page)]


def table(construct: Construct, not_yet: frozenset[str] = NOT_YET) -> str:
    """All fields of a construct as a Markdown table, and what has to stand together or apart."""
    rows = [_row(field, f"{construct.name}.{field.name}" in not_yet) for field in construct.fields]
    if construct.others is not None:
        rows.append(f"| *{expected(construct.others.key)}* | {_takes(construct.others.value)} | | |")
    together = "".join(f"- {line}\n" for line in _together(construct))
    return f"{_HEAD}{''.join(row + chr(10) for row in rows)}{chr(10) + together if together else ''}"


def _row(field: Field, not_yet: bool) -> str:
    default = "*required*" if field.required else f"`{field.example}`" if field.default == "these" else field.default
    doc = f"{field.doc} *Not supported yet.*" if not_yet else field.doc
    takes = "a number; for `age` a duration" if field.name in ORDERED else _takes(field.type)
    return f"| `{field.name}` | {takes} | {default} | {doc} | `{field.example}` |"


def _together(construct: Construct) -> list[str]:
    lines = [f"Exactly one of {_names(names)}." for names in construct.exactly_one]
    if construct.at_least_one:
        lines.append(f"At least one of {_names(construct.at_least_one)}.")
    for name, others in (construct.apart or {}).items():
        lines.append(f"`{name}` cannot stand beside {_names(others)}.")
    return lines


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _takes(kind: Type) -> str:
    """The type in words, with links to the constructs it is made of."""
    match kind:
        case types.Object(name):
            return f"[{name}](#{name})"
        case types.ListOf(item, _, _, bare):
            return f"{_takes(item)}, or a list of them" if bare else f"a list: {_takes(item)}"
        case types.MapOf(key, value):
            return f"a mapping from {expected(key)} to {_takes(value)}"
        case types.Nullable(item):
            return f"{_takes(item)} or null"
        case types.Where():
            return "[conditions](#conditions)"
        case types.When():
            return "[when](#when)"
        case types.Choice(values):
            return " ".join(f"`{value}`" for value in values)
        case types.Lists():
            return "a mapping from names to lists"
        case types.BusinessHours():
            return "hours by day of the week"
        case types.Number(least, most) if most == 0 or least == 0:
            return "a number, 0 or less" if most == 0 else "a number, 0 or more"
        case types.Duration(least_ms, most_ms, step_ms) if (least_ms, most_ms, step_ms) != _PLAIN_DURATION:
            return f"{expected(kind)}, {types.duration_text(least_ms)} to {types.duration_text(most_ms)}"
    return expected(kind)


_PLAIN_DURATION = (types.Duration().least_ms, types.Duration().most_ms, types.Duration().step_ms)
