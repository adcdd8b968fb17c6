"""The whole life of a lead under a plan: each event, what each rule made of it, and what is missing to become an MQL.

Made from scratch out of the lead's state, by the same tally, clipping and conditions that score it; changes no lead. What an
event was worth follows from the ledger: of an event that has left it, only what it said of the lead is still known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from mqlstream.core.commands import ADOPT, RETRACT, VERDICT, correction
from mqlstream.core.event import DAY_MS, KINDS
from mqlstream.core.feedback import WITH_SALES
from mqlstream.core.lead import Lead
from mqlstream.core.ledger import countable
from mqlstream.core.outcome import Reason
from mqlstream.core.outputs import handoff_id
from mqlstream.core.plan import Attributes, Moment, Part, Plan, RulePlan
from mqlstream.core.qualify import OPEN_STAGES, awarded_in_cycle
from mqlstream.core.scoring import (
    Clip,
    Explained,
    Standing,
    attributes_at,
    clip,
    clip_told,
    explain,
    grade_of,
    raw_sums,
    recounted,
    rounded,
    score_of,
    standings,
)
from mqlstream.core.state import EMAIL, MACHINE, NEVER, RETRACTED, Answer, Entry, Track
from mqlstream.core.tally import candidates

Json = dict[str, Any]
_LINE = ("time", "kind", "source", "id", "machine", "verdict", "late", "arrival", "ignored")


def life(plan: Plan, lead: Lead, as_of: int) -> Json:
    """All there is to tell of a lead under a definition at ``as_of``, a moment not before the lead's own; ready for JSON.

    ``contributions`` and ``clipped`` are as a handoff carries them. ``timeline`` has one object per event, in order, and among them
    sales' answers under this definition and operators' commands, with who and why; ``standing`` has the points without an event.
    In both, ``points`` are what they are worth now and ``counted`` what of that reaches the total: where a cap or floor cuts a sum,
    all that make it up are cut alike. All ``counted`` add up to the total. ``qualify`` says which part of the condition holds, and
    what else keeps the lead from becoming an MQL.
    """
    explained = explain(plan, lead, as_of)
    track = lead.state.tracks.get(plan.id) or Track()
    count = _Count(plan, lead, as_of)
    return _row(plan, lead, as_of, explained, track) | {
        "clipped": explained.clipped,
        "version": plan.version,
        "digest": plan.digest,
        **_stage_of(plan, lead, track),
        "timeline": list(_timeline(count)),
        "standing": list(count.standing()),
        "qualify": _qualify(count, track, explained.sums),
    }


def standing(plan: Plan, lead: Lead, as_of: int) -> Json:
    """The part of `life` that fits a row: stage, score, and what it is made of."""
    return _row(plan, lead, as_of, explain(plan, lead, as_of), lead.state.tracks.get(plan.id) or Track())


def _row(plan: Plan, lead: Lead, as_of: int, explained: Explained, track: Track) -> Json:
    return {
        "lead_id": lead.id,
        "definition": plan.id,
        "as_of": as_of,
        "stage": track.stage,
        "cycle": track.cycle,
        "score": score_of(plan, explained.sums),
        "grade": grade_of(plan, explained.sums),
        "contributions": explained.contributions,
    }


def attributes_told(lead: Lead, as_of: int) -> Json:
    """The lead's attributes as conditions see them, the address under ``email``; ready for JSON."""
    attributes = dict(lead.attributes(as_of))
    attributes.pop("age", None)
    return {name: value for name, value in _told(attributes).items() if value is not None}


def _stage_of(plan: Plan, lead: Lead, track: Track) -> Json:
    times = {
        "entered": track.entered,
        "first_mql_at": track.first_mql_at,
        "qualified_at": track.qualified_at,
        "cooldown_until": track.cooldown_until,
        "respond_by": track.respond_by,
    }
    told: Json = {name: time if time != NEVER else None for name, time in times.items()}
    told["sla_breached"] = track.breached
    told["handoff_id"] = handoff_id(plan, lead, track) if track.stage in WITH_SALES else None
    return told


class _Place(NamedTuple):
    """Where an award stands: the event's place in the ledger by identity, and the rule."""

    entry: int
    rule: int


class _Count:
    """The lead counted afresh under the plan: who was awarded what, and how much of each sum is left after clipping."""

    def __init__(self, plan: Plan, lead: Lead, as_of: int) -> None:
        self.plan, self.lead, self.as_of = plan, lead, as_of
        self.tally, awards, self.attributes = recounted(plan, lead, as_of)
        self.open_gates = [gate(self.attributes) for gate in plan.gates]
        self.awards = {_Place(id(award.entry), award.rule.index): award for award in awards.ever}
        self._counting = {id(award) for award in awards.counting}
        clips: list[Clip] = []
        clip(plan, raw_sums(plan, lead, self.tally, self.attributes), clips)
        self._clips = {each.node: each for each in clips}
        self._shares = [1.0] * len(plan.nodes)
        for index in reversed(range(len(plan.nodes))):  # parents stand after their children
            parent = plan.nodes[index].parent
            cut = self._clips.get(index)
            own = cut.counted / cut.sum if cut is not None else 1.0
            self._shares[index] = own * (self._shares[parent] if parent >= 0 else 1.0)

    def points(self, node: int, points: float) -> Json:
        """What points that flow into a node are worth and what reaches the total; which sums on their way are cut."""
        cut = []
        step = node
        while step >= 0:
            if step in self._clips:
                cut.append(clip_told(self.plan, self._clips[step]))
            step = self.plan.nodes[step].parent
        return {"points": rounded(points), "counted": rounded(points * self._shares[node]), "clipped_by": cut}

    def standing(self) -> Iterator[Json]:
        """Points without an event of their own: fit, tiers, inactivity, the value of a `set`."""
        for each in standings(self.plan, self.lead, self.tally, self.attributes, self.open_gates):
            yield {**_named(each), **self.points(each.node, each.points)}

    def matched(self, entry: Entry) -> Iterator[RulePlan]:
        """The rules that an event matches, as far as the event itself is asked."""
        for candidate in candidates(self.plan, entry):
            if candidate.match is None or candidate.match(entry.values):
                yield candidate.rule

    def made_of(self, rule: RulePlan, entry: Entry) -> Json:
        """What a rule made of an event that it matches. ``off`` says why it is worth nothing now, in one word."""
        told: Json = {**_named(rule), "awarded": None, "points": 0.0, "counted": 0.0, "clipped_by": [], "off": None, "off_by": None}
        gated = rule.gate is not None and not self.open_gates[rule.gate]
        if rule.set is not None:
            told["sets"] = {self.plan.nodes[node].name: value for node, value in rule.set.items()}
            told["off"] = "lead" if rule.index in self.tally.closed else None
            return told
        if rule.tiers:
            told["tiers"] = True  # its points stand among those without an event
            told["off"] = "lead" if gated else None
            return told
        award = self.awards.get(_Place(id(entry), rule.index))
        if award is None:
            told["off"] = "limit" if not rule.count else "count_or_limit" if rule.limit else "count"
            return told
        told["awarded"] = rounded(award.points)
        lane = self.plan.lanes[rule.lane]
        age = self.as_of - entry.time
        if id(award) not in self._counting:
            reset = self.tally.resets[rule.dimension]
            told["off"], told["off_by"] = ("set", reset.rule.id) if reset.rule is not None else (self._cleared_by(reset.entry), None)
        elif gated:
            told["off"] = "lead"
        elif lane.shape in ("linear", "expire_after") and age >= lane.ms:
            told["off"] = "expired"
        else:
            told |= self.points(lane.node, lane.worth(award.points, age))
        return told

    def _cleared_by(self, mark: Entry) -> str:
        """Who let a dimension start again at a mark that is no rule's: an operator or sales."""
        commands = self.lead.state.commands
        reset = commands.reset if commands is not None else None
        return "reset" if reset is not None and (reset[0], reset[2]) == (mark.time, mark.id) else "recycled"


def _timeline(count: _Count) -> Iterator[Json]:
    """Each event in order; what one said of the lead stands beside it, or by itself where nothing else is known any more."""
    lead = count.lead
    state, sources, commands = lead.state, lead.state.sources, lead.state.commands
    said = {(fact.time, sources[fact.source], fact.id): _told(fact.values) for fact in state.facts if fact.time <= count.as_of}
    ignored = _ignored(count)
    late = _late(state.entries)
    lines: dict[tuple[int, str, str], Json] = {}
    for entry in state.entries:
        if entry.time > count.as_of or entry.flags & RETRACTED:
            continue
        key = (entry.time, sources[entry.source], entry.id)
        reason = ignored.get(id(entry))
        lines[key] = {
            "time": entry.time,
            "kind": KINDS[entry.kind],
            "source": sources[entry.source],
            "id": entry.id,
            "machine": bool(entry.flags & MACHINE),
            "verdict": commands is not None and correction(commands, sources[entry.source], entry.id) == VERDICT,
            "late": id(entry) in late,
            "arrival": entry.seq,
            "ignored": reason,
            "attributes": said.pop(key, {}),
            "rules": [count.made_of(rule, entry) for rule in count.matched(entry)] if reason is None else [],
        }
    for (time, source, event_id), values in said.items():
        lines[time, source, event_id] = {
            **dict.fromkeys(_LINE),
            "time": time,
            "source": source,
            "id": event_id,
            "attributes": values,
            "rules": [],
        }
    others = [_asked_line("feedback", answer_told(each)) for each in state.heard if each.definition == count.plan.id]
    others += [_asked_line("command", command_told(*each)) for each in (commands.audit if commands is not None else ())]
    yield from sorted((*lines.values(), *others), key=lambda line: (line["time"], line["source"], line["id"]))


def answer_told(answer: Answer) -> Json:
    """One answer of sales', ready for JSON."""
    return msgspec.structs.asdict(answer)


def command_told(time: int, what: str, source: str, event_id: str, by: str | None, reason: str | None, about: str) -> Json:
    """One command of a lead's audit: ``event_source`` and ``event_id`` with a correction, ``into`` or ``from`` with a merge."""
    told = {"time": time, "do": "merge" if what == ADOPT else what, "source": source, "id": event_id, "by": by, "reason": reason}
    told |= dict.fromkeys(("event_source", "event_id", "into", "from"))
    if what in (RETRACT, VERDICT):
        told["event_source"], _, told["event_id"] = about.partition("\x1f")
    elif about:
        told["from" if what == ADOPT else "into"] = about
    return told


def _asked_line(kind: str, told: Json) -> Json:
    """A line of the timeline that is no touch of the lead's."""
    return {**dict.fromkeys(_LINE), "kind": kind, "attributes": {}, "rules": [], **told}


def _late(entries: Sequence[Entry]) -> set[int]:
    """The entries (by identity) that came after one with a later time."""
    late = set()
    newest = NEVER
    for entry in sorted(entries, key=lambda entry: entry.seq):
        if entry.time < newest:
            late.add(id(entry))
        newest = max(newest, entry.time)
    return late


def _ignored(count: _Count) -> dict[int, str]:
    """Why events in the ledger (by identity) do not count under the plan, those that do left out."""
    entries = count.lead.state.entries
    counted = {id(entry) for entry in countable(count.plan, count.lead.ledger, count.as_of)}
    first_day = count.as_of // DAY_MS - count.plan.horizon_days + 1
    of_day: Counter[tuple[int, int]] = Counter()
    found = {}
    for entry in entries:
        day = entry.time // DAY_MS
        of_day[day, entry.kind] += 1
        if id(entry) not in counted:
            flood = of_day[day, entry.kind] > count.plan.per_day
            found[id(entry)] = (Reason.TOO_OLD if day < first_day else Reason.FLOOD if flood else Reason.LEDGER_FULL).value
    return found


def _qualify(count: _Count, track: Track, sums: Sequence[float]) -> Json:
    """Whether the condition holds at that moment, part by part, and what else stands in the way (``blocked``)."""
    plan = count.plan
    attributes = attributes_at(plan, count.lead, count.as_of)
    blocked = list(_blocked(plan, count.lead, track, attributes, count.as_of))
    if plan.condition is None:
        return {"holds": False, "blocked": blocked, "condition": None}
    moment = Moment(sums, attributes, awarded_in_cycle(plan, count.tally, track, attributes))
    condition = _part(plan.condition, moment)
    return {"holds": condition["holds"], "blocked": blocked, "condition": condition}


def _blocked(plan: Plan, lead: Lead, track: Track, attributes: Attributes, as_of: int) -> Iterator[Json]:
    if lead.state.unreviewed != NEVER:
        yield {"by": "catching_up", "from": lead.state.unreviewed}
    commands = lead.state.commands
    if commands is not None and commands.merged_into:
        yield {"by": "merged", "into": commands.merged_into}
    if commands is not None and commands.switch is not None and commands.frozen:
        yield {"by": "frozen", "since": commands.switch[0]}
    if not plan.live:
        yield {"by": "shadow"}
    if track.stage not in OPEN_STAGES:
        yield {"by": "stage", "stage": track.stage}
    if as_of < track.cooldown_until:
        yield {"by": "cooldown", "until": track.cooldown_until}
    if (plan.active_from is not None and as_of < plan.active_from) or (plan.active_until is not None and as_of >= plan.active_until):
        yield {"by": "active", "from": plan.active_from, "until": plan.active_until}
    for name, conditions in (("disqualify", plan.disqualify), ("freeze", plan.freeze)):
        for condition in conditions:
            if condition.holds(attributes):
                yield {"by": name, "id": condition.id}


def _part(part: Part, moment: Moment) -> Json:
    told: Json = {"form": part.form, "holds": part.holds(moment)}
    if part.parts:
        told["parts"] = [_part(inner, moment) for inner in part.parts]
        return told
    told["needs"], told["now"] = part.needs, part.now(moment) if part.now is not None else None
    if part.form == "score" and not told["holds"]:
        needed = part.needs.get("gte", part.needs.get("gt"))
        if needed is not None:
            told["short_by"] = rounded(needed - told["now"])
    return told


def _named(origin: RulePlan | Standing) -> Json:
    return {"rule": origin.id, "label": origin.label, "intent": origin.intent}


def _told(attributes: Mapping[str, Any]) -> Json:
    return {"email" if name == EMAIL else name: value for name, value in attributes.items()}
