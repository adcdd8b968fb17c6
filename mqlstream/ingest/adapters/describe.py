"""The sections of docs/adapters.md, one an adapter, from what the adapters say of themselves."""

from __future__ import annotations

from mqlstream.ingest.adapters.base import Adapter
from mqlstream.ingest.adapters.registry import ADAPTERS

BEGIN = "<!-- made by `make docs` from here on -->\n"


def refreshed(page: str) -> str:
    """The page with its prose kept, and everything below `BEGIN` made anew."""
    prose, _, _ = page.partition(BEGIN)
    return prose + BEGIN + "\n" + _overview() + "".join(_section(adapter) for adapter in ADAPTERS.values())


def _overview() -> str:
    lines = ["| adapter | for | gives |", "|---|---|---|"]
    lines += [f"| [`{one.name}`](#{one.name}) | {one.title} | {' '.join(f'`{kind}`' for kind in one.kinds)} |" for one in ADAPTERS.values()]
    return "\n".join(lines) + "\n"


def _section(adapter: Adapter) -> str:
    rows = (
        ("takes", adapter.takes),
        ("who", adapter.identity),
        ("id", adapter.event_id),
        ("time", adapter.time),
        ("machines", adapter.machine),
        ("ignored", adapter.ignored),
    )
    lines = ["", f"## {adapter.name}", "", f"{adapter.title}. {adapter.notes}".rstrip(), "", "| | |", "|---|---|"]
    lines += [f"| {name} | {text.replace('|', chr(92) + '|')} |" for name, text in rows]
    if adapter.pages:
        lines.append(f"| names from | {' '.join(f'<{page}>' for page in adapter.pages)} |")
    if adapter.checked:
        lines.append(f"| checked | {adapter.checked.replace('|', chr(92) + '|')} |")
    if adapter.options:
        lines += ["", "| option | |", "|---|---|"]
        lines += [
            f"| `{option.name}` | {option.description.replace('|', chr(92) + '|')} E.g. `{option.example}` |" for option in adapter.options
        ]
    return "\n".join(lines) + "\n"
