"""Which fields of events the ledger keeps, and how they are read: the layout of a program. No rules, no points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mqlstream.core.event import ACTIVITY_KINDS, KINDS, Event
from mqlstream.core.plan import Extract, Layout
from mqlstream.core.state import Track
from mqlstream.core.values import identity, lookup
from mqlstream.definition import model
from mqlstream.definition.where import paths, split

KIND = {kind: index for index, kind in enumerate(KINDS)}
MET = ("lead.stage", "lead.cycle")  # what an event met: kept with it, per definition, as `path@definition`
WITH_ACTION = ("email_click", "webinar_attendance")  # kinds whose action may say that it was no activity
KEPT_CHARACTERS = 1_000  # of one field of one event: the ledger of a lead must stay small


def lay_out(definitions: Sequence[model.Definition]) -> tuple[Layout, tuple[int, ...]]:
    """Which fields of each kind any definition reads; what the event met stands last."""
    fields: list[set[str]] = [set() for _ in KINDS]
    met: list[set[str]] = [set() for _ in KINDS]
    for definition in definitions:
        for rule in definition.rules:
            for kind in rule.on:
                for path in _fields_of(rule):
                    if path in MET:
                        met[KIND[kind]].add(f"{path}@{definition.id}")
                    else:
                        fields[KIND[kind]].add(path)
        for entry in definition.inactivity:
            for kind in entry.on or ACTIVITY_KINDS:
                fields[KIND[kind]].update(paths(split(entry.where)[0]))
                if kind in WITH_ACTION:
                    fields[KIND[kind]].add("action")
    layout = Layout(tuple((*sorted(own), *sorted(others)) for own, others in zip(fields, met, strict=True)))
    return layout, tuple(len(own) for own in fields)


def _fields_of(rule: model.Rule) -> set[str]:
    read = set(paths(split(rule.where)[0]))
    for of in (
        rule.limit.by if rule.limit else None,
        rule.count.by if rule.count else None,
        rule.count.distinct if rule.count else None,
        rule.points_from.field if rule.points_from else None,
    ):
        if of is not None:
            read.add(of)
    return read


def reader(kind_paths: tuple[str, ...]) -> Extract:
    """The reader of an event's values, in the layout's order; shaped for the common case of plain top-level fields."""
    if any("." in path or "@" in path or path in _ENVELOPE for path in kind_paths):
        getters = [_getter(path) for path in kind_paths]
        return lambda event, tracks: tuple([_kept(getter(event, tracks)) for getter in getters])

    def plain(event: Event, tracks: Mapping[str, Track]) -> tuple[Any, ...]:
        get = event.body.get
        values = []
        for path in kind_paths:
            value = get(path)
            # Short texts and whole numbers, which nearly all values are, need no closer look.
            if value.__class__ is not int and (value.__class__ is not str or len(value) > KEPT_CHARACTERS):
                value = _kept(value)
            values.append(value)
        return tuple(values)

    return plain


def _kept(value: Any) -> Any:
    """A value as the ledger keeps it and rules see it: texts up to `KEPT_CHARACTERS`, longer lists and objects not at all."""
    if type(value) is str:
        return value if len(value) <= KEPT_CHARACTERS else value[:KEPT_CHARACTERS]
    if type(value) is list or type(value) is dict:
        return value if len(identity(value)) <= KEPT_CHARACTERS else None
    return value


_ENVELOPE = {"id", "source", "kind", "time", "machine", "email", "lead_id"}


def _getter(path: str) -> Callable[[Event, Mapping[str, Track]], Any]:
    if "@" in path and path.partition("@")[0] in MET:
        what, _, definition = path.partition("@")
        if what == "lead.stage":
            return lambda event, tracks: tracks[definition].stage if definition in tracks else "lead"
        return lambda event, tracks: tracks[definition].cycle if definition in tracks else 0
    if path in _ENVELOPE:
        attribute = "lead" if path == "lead_id" else path

        def enveloped(event: Event, tracks: Mapping[str, Track]) -> Any:
            found = event.body.get(path)
            return found if found is not None else getattr(event, attribute)

        return enveloped
    return lambda event, tracks: lookup(event.body, path)
