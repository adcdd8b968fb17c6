"""A lead's life in words, as `score --explain` and `lead` print it. What there is to tell comes from `mqlstream.core.timeline`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import click

Json = Mapping[str, Any]
_OFF = {
    "limit": "the rule's limit was used up",
    "count": "too few like it",
    "count_or_limit": "too few like it, or the rule's limit was used up",
    "recycled": "before sales recycled the lead",
    "reset": "before the scores were reset by a command",
    "lead": "the lead is not as the rule asks",
    "expired": "expired",
}
_BLOCKED = {
    "catching_up": "reviews from {from} on wait for older events that may still come",
    "shadow": "a shadow definition hands nobody off",
    "stage": "stage {stage}",
    "cooldown": "cooldown until {until}",
    "active": "the definition is not active",
    "disqualify": "disqualified by {id}",
    "freeze": "frozen by {id}",
    "frozen": "frozen by a command of {since}",
    "merged": "merged into {into}",
}
_ABOUT = {"event_source": "", "event_id": "", "into": "into ", "from": "from "}
_WHY = {"by": "by", "reason": "because:"}


def tell(row: Json) -> None:
    """One lead under one definition: its score, and every contribution that counts."""
    score = dict(row["score"])
    parts = ", ".join(f"{name} {value:.2f}" for name, value in score.items() if name != "total")
    click.echo(f"{plain(row['lead_id'])}  {row['definition']}  stage {row['stage']}  cycle {row['cycle']}  {row['grade']}".rstrip())
    click.echo(f"total {score['total']:.2f} ({parts}) as of {date(row['as_of'])}")
    for contribution in row["contributions"]:
        origin = f"{contribution['source']} {contribution['event_id']}" if contribution["event_id"] else "standing"
        click.echo(
            f"  {contribution['points']:+9.2f}  {contribution['label']}  ({contribution['rule']}, awarded {contribution['awarded']:g}"
            f" on {date(contribution['time'])}, {plain(origin)})"
        )
    for clip in row["clipped"]:
        click.echo(f"  clipped: {_clip(clip)}")


def tell_life(row: Json) -> None:
    """One lead under one definition: every event and what became of it, and what is missing to become an MQL."""
    click.echo("timeline:")
    for event in row["timeline"]:
        marks = [mark for mark in ("machine", "verdict", "late") if event[mark]]
        marks += [f"ignored: {event['ignored']}"] if event["ignored"] else []
        said = f"  ({', '.join(marks)})" if marks else _said(event)
        click.echo(f"  {date(event['time'])}  {event['kind'] or 'told'}  {plain(event['source'])} {plain(event['id'])}{said}")
        for name, value in event["attributes"].items():
            click.echo(f"    {plain(name)}: {plain(value)}")
        for rule in event["rules"]:
            click.echo(f"    {_made(rule)}")
    for rule in row["standing"]:
        click.echo(f"  standing: {_made(rule)}")
    click.echo("to become an MQL:")
    for blocked in row["qualify"]["blocked"]:
        told = {name: date(value) if isinstance(value, int) else value for name, value in blocked.items()}
        click.echo(f"  in the way: {_BLOCKED[blocked['by']].format(**told)}")
    condition = row["qualify"]["condition"]
    if condition is None:
        click.echo("  nothing makes one: the definition has no condition")
    for line in _condition(condition, 1) if condition is not None else ():
        click.echo(line)


def _said(line: Json) -> str:
    """What sales or an operator asked for, who and why; nothing of any other event."""
    asked = line.get("decision") or line.get("do")
    if asked is None:
        return ""
    asked += "".join(f" {word}{plain(line[name])}" for name, word in _ABOUT.items() if line.get(name))
    return f"  {asked}" + "".join(f", {word} {plain(line[name])}" for name, word in _WHY.items() if line[name])


def _made(rule: Json) -> str:
    """What a rule made of an event, or gives without one."""
    name = f"{rule['label']} ({rule['rule']})"
    if rule.get("sets") is not None:
        effect = "sets " + ", ".join(f"{dimension} to {value:g}" for dimension, value in rule["sets"].items())
    elif rule.get("tiers"):
        effect = "counts for the rule's tiers"
    elif rule.get("awarded", 0) is None:
        effect = "nothing awarded"
    else:
        awarded = f", awarded {rule['awarded']:g}" if "awarded" in rule else ""
        effect = f"{rule['points']:+.2f}{awarded}"
    why = _OFF.get(rule.get("off") or "", "")
    if rule.get("off") == "set":
        why = f"set aside by {rule['off_by']}"
    for clip in rule["clipped_by"]:
        why = f"{why}; " if why else ""
        why += f"{rule['counted']:+.2f} of it count, for {_clip(clip)}"
    return f"{effect}  {name}{f': {why}' if why else ''}"


def _condition(part: Json, depth: int) -> Iterator[str]:
    mark = "yes" if part["holds"] else " no"
    indent = "  " * depth
    if "parts" in part:
        yield f"{indent}{mark}  {part['form']} of" if part["form"] != "not" else f"{indent}{mark}  not"
        for inner in part["parts"]:
            yield from _condition(inner, depth + 1)
        return
    short = f", {part['short_by']:.2f} short" if "short_by" in part else ""
    yield f"{indent}{mark}  {_needs(part)}{short}"


def _needs(part: Json) -> str:
    needs, now = part["needs"], part["now"]
    if part["form"] == "score":
        signs = {"gte": ">=", "gt": ">", "lte": "<=", "lt": "<", "eq": "=", "ne": "other than"}
        asked = " and ".join(f"{signs[test]} {value:g}" for test, value in needs.items() if test != "score")
        return f"{needs['score']} {asked} (now {now:.2f})"
    if part["form"] == "cell":
        return f"grade one of {' '.join(needs['cell']['in'])} (now {now or 'none'})"
    if part["form"] == "rule":
        return f"{needs['rule']} awarded in this cycle"
    return plain(f"lead {needs['where']} (now {now})")


def _clip(clip: Json) -> str:
    return f"{clip['scope']} {clip['name']} adds up to {clip['sum']:.2f}, {clip['counted']:.2f} count"


def plain(value: object) -> str:
    """What an event brought along, for a terminal: on one line, and no letters that steer it."""
    return "".join(letter if letter.isprintable() else " " for letter in str(value))


def date(at: int) -> str:
    """A moment in UTC, to the second."""
    return datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
