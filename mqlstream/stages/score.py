"""The SCORE stage: lead-events in, handoffs out, one table of leads per task. What an event does is `mqlstream.core`'s."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson

from mqlstream import metrics, wire
from mqlstream.core.event import Event
from mqlstream.core.lead import Lead
from mqlstream.core.outcome import SCORED, Outcome, Reason, rejected
from mqlstream.core.outputs import BECAME_MQL
from mqlstream.core.plan import Program
from mqlstream.core.scoring import attributes_at, grade_of, node_sums, score_of
from mqlstream.core.state import NEVER
from mqlstream.core.step import step
from mqlstream.core.table import LeadTable
from mqlstream.core.tally import Tally
from mqlstream.core.timers import fire
from mqlstream.engine.interfaces import Effects, Output, Record
from mqlstream.engine.surroundings import Surroundings
from mqlstream.handoff import cloudevents
from mqlstream.ingest.machines import DEFAULT_RULES, Rules
from mqlstream.stages.account_leads import AccountLeads
from mqlstream.stages.activation import LAYOUT_KEY, Definitions, InForce, Programs
from mqlstream.stages.catching_up import CatchingUp, Held
from mqlstream.stages.clicks import CHANGELOG_KEY as CLICKS_KEY
from mqlstream.stages.clicks import WATCHED_KINDS, Clicks
from mqlstream.stages.dead_letter import dead_letter
from mqlstream.stages.identify import forgotten
from mqlstream.stages.lookup import Question, answer
from mqlstream.stages.shadow import Shadows
from mqlstream.stages.watermark import CHANGELOG_KEY as FRONTIERS_KEY
from mqlstream.topics import Topics

_FIRED_AT_ONCE = 500  # timers, some 20 ms, which is what an event may wait for them; more in a batch of more records
_REVIEWED_AT_ONCE = 500  # leads whose reviews have waited: the worker has other tasks too

__all__ = ["LAYOUT_KEY", "ScoreOptions", "ScoreProcessor", "ScoreStage"]


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """``source`` names this installation in handoffs (CloudEvents ``source``); ``partitions`` is the number of lead-events'."""

    publish_scores: bool = False
    structured: bool = False
    source: str = "/mqlstream"
    partitions: int = 12
    machines: Rules = DEFAULT_RULES


class ScoreStage:
    """Scores every lead under every definition in force. ``program`` is those of the files: what was pushed supersedes them,
    task by task, where the log says so.
    """

    name = "score"
    phase = 0.6  # of a commit interval; see `mqlstream.engine.pace`

    def __init__(self, topics: Topics, program: Program, options: ScoreOptions | None = None) -> None:
        self.topics = topics
        self.program = program
        self.options = options or ScoreOptions()
        self.inputs: Sequence[str] = (topics.lead_events,)
        self.changelog = topics.lead_state
        self.digest = _digest(program, self.options.machines)
        self.programs = Programs(program)
        self.in_force = InForce.of(program)
        self.held = Held()
        metrics.RESCORING.set_function(self.in_force.remaining)

    def processor(self, task: int) -> ScoreProcessor:
        return ScoreProcessor(self)


def _digest(program: Program, machines: Rules) -> str:
    """What workers must agree on to give the same scores: the definitions, the lists of kinds of addresses, and what is a machine."""
    lists = program.email_lists
    agreed: list[Any] = [[plan.id, plan.version, plan.digest] for plan in program.plans]
    agreed.append([sorted(lists.disposable), sorted(lists.role), sorted(lists.free)])
    agreed.append(repr(machines))
    return sha256(orjson.dumps(agreed)).hexdigest()[:32]


@dataclass(slots=True)
class _Note:
    """What to count once the batch is committed."""

    scored: list[str] = field(default_factory=list)  # the kind of each event that was
    others: list[tuple[str, Outcome]] = field(default_factory=list)  # kind, and how it ended
    handoffs: list[tuple[str, int | None]] = field(default_factory=list)  # type, and the timestamp of the record that caused it
    shadows: list[tuple[str, str]] = field(default_factory=list)  # definition, how it agrees with the live ones
    caught_up: bool = False


def _by_key(records: Sequence[Record]) -> defaultdict[bytes | None, list[Record]]:
    runs: defaultdict[bytes | None, list[Record]] = defaultdict(list)
    for record in records:
        runs[record.key].append(record)
    return runs


class ScoreProcessor:
    """One task of the stage: the leads of one partition."""

    def __init__(self, stage: ScoreStage) -> None:
        self._stage = stage
        self._table = LeadTable(stage.program)
        self._catching_up = CatchingUp(self._table, stage.held)
        self._account_leads = AccountLeads(self._table, stage.topics.account_leads, stage.options.partitions)
        self._definitions = Definitions(stage.programs, self._table, self._catching_up.load, self._account_leads.rescored)
        self._shadows = Shadows(self._table, stage.topics.shadow)
        self._clicks = Clicks(stage.options.machines, stage.topics.lead_events, stage.options.partitions)
        self._settled = False
        self._clock_ms = 0  # the highest record timestamp read, wall time once caught up

    def restore(self, key: bytes, value: bytes | None) -> None:
        if key.startswith(b"\x00"):
            if key == FRONTIERS_KEY:
                self._catching_up.restore(value)
            elif key.startswith(CLICKS_KEY):
                self._clicks.restore(key, value)
            else:
                self._definitions.restore(key, value)
            return
        lead_id = key.decode()
        self._table.load(lead_id, value)
        self._catching_up.load(lead_id, value)

    def attend(self, surroundings: Surroundings) -> None:
        """All is restored: rescoring goes on, whether events come or not. Raises `Unable`."""
        self._table.share(surroundings.tasks)
        self._definitions.resume()

    def process(self, records: Sequence[Record], wall_ms: int | None) -> Effects:
        effects = Effects(note=_Note(caught_up=wall_ms is not None))
        if not self._settled:
            self._settle(effects)
        most = max(_FIRED_AT_ONCE, len(records))
        while records:
            records = self._apply(records, effects)
        if wall_ms is not None:
            self._clicks.look_for_visits(min(wall_ms, self._catching_up.until_ms - 1), self._table.peek, wall_ms, effects)
        effects.changelog += self._catching_up.changes()
        effects.changelog += self._clicks.changes(max(self._clock_ms, wall_ms or 0))
        if wall_ms is not None:
            self._catching_up.wait(wall_ms)
        self._make_up(effects)
        self._tick(wall_ms or 0, effects, most)
        if self._definitions.rescoring:
            effects.changelog += self._definitions.rescore()
        self._pack(effects)
        return effects

    def due_ms(self) -> int | None:
        if self._definitions.rescoring:
            return 0
        moments = [moment for moment in (self._table.next_due(), self._clicks.due_ms()) if moment is not None]
        return self._catching_up.due_ms(min(moments, default=None))

    def answer(self, question: Question) -> bytes | None:
        """What is asked of a lead; see `mqlstream.stages.lookup`."""
        return answer(self._table.program, self._table, question)

    def committed(self, effects: Effects) -> None:
        note: _Note = effects.note
        for kind, count in Counter(note.scored).items():
            metrics.EVENTS.labels(kind, SCORED.name, SCORED.reason.value).inc(count)
        for (kind, outcome), count in Counter(note.others).items():
            metrics.EVENTS.labels(kind, outcome.name, outcome.reason.value).inc(count)
            if outcome.name == "rejected":
                metrics.DEAD_LETTERS.labels(outcome.reason.value).inc(count)
        for labels in note.shadows:
            metrics.SHADOW.labels(*labels).inc()
        now = time.time()
        for handoff, caused in note.handoffs:
            metrics.HANDOFFS.labels(handoff).inc()
            if note.caught_up and caused is not None:
                metrics.EVENT_TO_HANDOFF.observe(max(0.0, now - caused / 1000))

    def _settle(self, effects: Effects) -> None:
        """Before the first event: the program is what the log has made of the files', and its layout gets a number."""
        effects.changelog += self._definitions.settle()
        self._stage.in_force.tasks.add(self._definitions)
        self._stage.in_force.tell()
        self._settled = True

    def _activate(self, records: Sequence[Record], first: Record, effects: Effects) -> Sequence[Record]:
        """Another version of a definition is in force from a record on. Returns the records that follow it."""
        before: Sequence[Record] = [record for record in records if record.offset < first.offset]
        while before:
            before = self._apply(before, effects)
        self._pack(effects)
        effects.changelog += self._definitions.activate(first, self._catching_up.before_ms)
        self._stage.in_force.tell()
        return [record for record in records if record.offset > first.offset]

    def _pack(self, effects: Effects) -> None:
        """All leads that were worked on, and those that were rescored, go into the table and the changelog."""
        self._hand_off((), None, effects)
        if self._shadows.active:
            told, counts = self._shadows.look(self._table.changed())
            effects.outputs += told
            effects.note.shadows += counts
        changes = self._table.packed_changes()
        effects.changelog.extend([(lead_id.encode(), packed) for lead_id, packed in changes])
        effects.outputs += self._account_leads.outputs()
        if self._stage.options.publish_scores:
            for lead_id, packed in changes:
                effects.outputs.extend(self._scores(lead_id, gone=packed is None))

    def _apply(self, records: Sequence[Record], effects: Effects) -> Sequence[Record]:
        """Lead by lead, each lead's events in their order: what they touch is then still in the processor's cache.

        Returns the records from where on less is known to have arrived than before; they are for another call.
        """
        runs = _by_key(records)
        if wire.ACTIVATION_KEY in runs:
            return self._activate(records, runs[wire.ACTIVATION_KEY][0], effects)
        if self._definitions.rescoring:
            for key in runs:  # before anything is tried with a lead that may have to be taken back
                self._table.renew((key or b"").decode(errors="replace"))
        told = [record for key in wire.BROADCASTS for record in runs.pop(key, ())]
        rest: Sequence[Record] = ()
        cut = self._catching_up.begin(
            told, records[0].offset, lambda record, error: self._reject(record, Reason.BAD_RECORD, error, effects)
        )
        if cut is not None:
            rest = [record for record in records if record.offset >= cut]
            runs = _by_key([record for record in records if record.offset < cut and record.key not in wire.BROADCASTS])
        for run in runs.values():
            if self._attempt(run, effects) is not None:
                # One event is more than the program can take. The lead may be half changed: all again, event by event.
                self._carefully(run, effects)
        if told:
            records = [record for run in runs.values() for record in run]  # the time of a broadcast is no event's
        if records:
            self._clock_ms = max(self._clock_ms, max([record.timestamp for record in records]))
        if rest:
            self._make_up(effects)
        return rest

    def _attempt(self, run: Sequence[Record], effects: Effects) -> Exception | None:
        """Apply events of one lead; when that fails ``effects`` are as before, but the lead may not be."""
        note: _Note = effects.note
        outputs, scored, others, handoffs = len(effects.outputs), len(note.scored), len(note.others), len(note.handoffs)
        try:
            self._run(run, effects)
        except Exception as error:
            del effects.outputs[outputs:], note.scored[scored:], note.others[others:], note.handoffs[handoffs:]
            return error
        return None

    def _run(self, run: Sequence[Record], effects: Effects) -> None:
        """Apply events of one lead."""
        program, decode, note = self._table.program, wire.decode, effects.note
        waits = not self._catching_up.idle
        telling = self._account_leads.telling()
        before_ms: int | None = None
        lead: Lead | None = None
        for record in run:
            try:
                event = decode(record.value or b"")
            except wire.WireError as error:
                self._reject(record, Reason.BAD_RECORD, str(error), effects)
                continue
            if lead is None or lead.id != event.lead:
                if wire.key_of(event.lead) != record.key:
                    self._reject(record, Reason.BAD_RECORD, "an event of another lead than its key names", effects)
                    continue
                lead = self._table.open(event.lead)
            if event.kind in WATCHED_KINDS:
                event = self._clicks.look(event, record, effects)
            state = lead.state
            due = state.due
            if waits:
                before_ms, made_up = self._catching_up.arrive(lead, record.offset)
                self._hand_off(made_up, None, effects)
            while before_ms is None and NEVER < state.due <= record.timestamp:
                self._hand_off(fire(program, lead), None, effects)
            if telling is not None:
                telling.before(lead, event.time)
            outcome, outputs, forwards = step(program, lead, event, before_ms)
            if telling is not None:
                telling.after(lead, outcome)
            if outcome is SCORED:
                note.scored.append(event.kind)
            else:
                note.others.append((event.kind, outcome))
            if outputs:
                self._hand_off(outputs, record, effects)
            for forward in forwards:
                effects.outputs += self._forwarded(forward, record)
            if state.due != due:
                self._table.schedule(lead)
        if waits and lead is not None:
            self._settle_reviews(lead, effects)

    def _carefully(self, run: Sequence[Record], effects: Effects) -> None:
        """The same, keeping a way back from each event: one that fails alone becomes a dead letter, and was never applied."""
        lead_id = (run[0].key or b"").decode(errors="replace")
        safe: bytes | None = None
        self._account_leads.forget(lead_id)
        self._clicks.reopen(lead_id)
        for record in run:
            self._table.reopen(lead_id, safe)
            error = self._attempt([record], effects)
            if error is None:
                safe = self._table.pack(self._table.open(lead_id))
            else:
                self._reject(record, Reason.FAILED, f"{type(error).__name__} while scoring; the event was not applied", effects)
        self._table.reopen(lead_id, safe)

    def _make_up(self, effects: Effects) -> None:
        """Review some of the leads that have waited until all older events were there."""
        for lead in self._catching_up.ready(_REVIEWED_AT_ONCE):
            self._settle_reviews(lead, effects)

    def _settle_reviews(self, lead: Lead, effects: Effects) -> None:
        due = lead.state.due
        self._hand_off(self._catching_up.settle(lead), None, effects)
        if lead.state.due != due:
            self._table.schedule(lead)

    def _tick(self, time_ms: int, effects: Effects, most: int) -> None:
        """Move the clock on, and let timers fire that are due by then, so many at a time.

        No lead is the worse for it: before an event is applied its lead's own timers fire, however many others wait.
        """
        self._clock_ms = max(self._clock_ms, time_ms)
        clock_ms = min(self._clock_ms, self._catching_up.until_ms - 1)
        due = self._table.next_due()
        fired = 0
        while due is not None and due <= clock_ms and fired < most:
            fired += 1
            lead = self._table.pop_due(clock_ms)
            if lead is not None:
                waits = lead.state.unreviewed != NEVER
                self._hand_off(self._catching_up.settle(lead) if waits else fire(self._table.program, lead), None, effects)
                self._table.schedule(lead)
            due = self._table.next_due()

    def _hand_off(self, outputs: Sequence[dict[str, Any]], record: Record | None, effects: Effects) -> None:
        options = self._stage.options
        if self._definitions.made:
            outputs = [*self._definitions.take_made(), *outputs]
        for output in outputs:
            key, value, headers = cloudevents.encode(output, options.source, structured=options.structured)
            effects.outputs.append(Output(self._stage.topics.handoff, key, value, headers))
            if output["type"] == BECAME_MQL:
                self._shadows.handed_off(output["lead_id"])
            effects.note.handoffs.append((output["type"], None if record is None else record.timestamp))

    def _forwarded(self, event: Event, record: Record) -> list[Output]:
        """An event that goes on to another lead, in the order of that one; who is to be erased is erased for visitors too."""
        topics, partitions = self._stage.topics, self._stage.options.partitions
        key = wire.key_of(event.lead)
        found = [Output(topics.lead_events, key, wire.encode(event), (), wire.partition_of(key, partitions), record.timestamp)]
        if event.body.get("do") == "erase":
            found += forgotten(event, topics, partitions, record.timestamp)
        return found

    def _reject(self, record: Record, reason: Reason, detail: str, effects: Effects) -> None:
        effects.outputs.append(dead_letter(self._stage.topics.dead_letters, self._stage.name, record, reason, detail))
        effects.note.others.append(("unknown", rejected(reason)))

    def _scores(self, lead_id: str, gone: bool) -> list[Output]:
        """The latest score of a lead under each definition, for the scores topic; a tombstone for each when it is gone."""
        topic, plans = self._stage.topics.scores, self._table.program.plans
        if gone:
            return [Output(topic, f"{plan.id}/{lead_id}".encode(), None) for plan in plans]
        lead = self._table.peek(lead_id)
        assert lead is not None
        outputs = []
        as_of = lead.state.as_of
        for plan, tally in zip(plans, lead.tallies, strict=True):
            tally = tally or Tally.over(plan, lead.ledger, as_of)
            tally.settle(as_of)
            sums = node_sums(plan, lead, tally, attributes_at(plan, lead, as_of))
            track = lead.track(plan.id)
            score = {
                "lead_id": lead.id,
                "definition": plan.id,
                "version": plan.version,
                "as_of": as_of,
                "stage": track.stage,
                "cycle": track.cycle,
                "score": score_of(plan, sums),
                "grade": grade_of(plan, sums),
            }
            outputs.append(Output(topic, f"{plan.id}/{lead.id}".encode(), orjson.dumps(score)))
        return outputs
