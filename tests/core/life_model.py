"""One lead's life as the language's description has it, written down plainly: a table of stages, and a score without tricks.

The model keeps everything that came and looks at all of it at every question. It shares no code with the product. The definition
it knows is `DEFINITION`; times are whole minutes, so that a fall is noticed when it happens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
DEFINITION = """
definition: b2b
version: 1
rules:
  - {id: visit, on: web_visit, points: 40, decay: {expire_after: 20d}}
  - {id: contact, on: form_fill, points: 30, decay: {expire_after: 20d}}
fit:
  - {id: vp, where: {title: VP}, points: 20}
disqualify:
  - {id: rival, where: {company: rival}}
freeze:
  - {id: held, where: {partner_status: held}}
qualify:
  threshold: {total: 100}
  fast_track: [contact]
  rearm: {below: 70, cooldown: 5d}
  recycle: {set: {engagement: 0}, cooldown: 3d}
sla: {accept_within: 1d}
"""
POINTS = {"web_visit": 40, "form_fill": 30}
LASTS, THRESHOLD, BELOW = 20 * DAY, 100, 70
COOLED, RECYCLED, ACCEPT_WITHIN = 5 * DAY, 3 * DAY, DAY

SALES = ("mql", "sal", "sql", "opportunity")
OPEN = ("lead", "recycled")
# (stage, what happens) -> (stage, what is told of it). What is not here happens to nobody.
TABLE: dict[tuple[str, str], tuple[str, str]] = {
    **{(stage, "qualifies"): ("mql", "became_mql") for stage in OPEN},
    ("mql", "falls"): ("lead", "cooled"),
    ("mql", "waits too long"): ("mql", "sla_breached"),
    ("mql", "groundless"): ("lead", "mql_withdrawn"),
    ("mql", "rival"): ("disqualified", "mql_withdrawn"),
    **{(stage, "rival"): ("disqualified", "stage_changed") for stage in OPEN},
    ("disqualified", "no rival"): ("lead", "stage_changed"),
    ("mql", "erase"): ("erased", "mql_withdrawn"),
    ("mql", "accepted"): ("sal", "stage_changed"),
    **{(stage, "qualified"): ("sql", "stage_changed") for stage in SALES[:2]},
    **{(stage, "opportunity"): ("opportunity", "stage_changed") for stage in SALES[:3]},
    **{(stage, "won"): ("customer", "stage_changed") for stage in SALES},
    **{(stage, no): ("recycled", "stage_changed") for stage in SALES for no in ("rejected", "recycled", "lost")},
    **{(stage, "disqualified"): ("disqualified", "stage_changed") for stage in SALES},
}


class Told(NamedTuple):
    """What is told of a transition: of an output, the parts that the model knows."""

    type: str
    time: int
    stage: str
    cycle: int
    moment: int | None = None  # when it qualified


class Thing(NamedTuple):
    """An event or a profile. ``seq`` counts what arrived."""

    time: int
    id: str
    kind: str
    attributes: dict[str, Any]
    seq: int


@dataclass
class Model:
    """What the lead should be. ``taken`` collects the rows of the table that were needed."""

    taken: set[tuple[str, str]]
    things: dict[str, Thing] = field(default_factory=dict)
    retracted: set[str] = field(default_factory=set)
    machines: set[str] = field(default_factory=set)
    stage: str = "lead"
    cycle: int = 0
    as_of: int = -1
    first_seen: int | None = None
    seq: int = 0
    entered: int = -1
    since: int = 0  # `seq` when the stage was entered
    ground: int = 0  # `since` of the newest handoff
    qualified_at: int = -1
    respond_by: int | None = None
    peaked: bool = False
    by_sales: bool = False
    cooldown_until: int = -1
    recycled: tuple[int, str, str] | None = None
    reset: tuple[int, str, str] | None = None
    switch: tuple[int, str, str, bool] | None = None
    told: list[Told] = field(default_factory=list)

    # The score, from everything that came.

    def attributes(self, at: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for thing in sorted(self.things.values()):
            if thing.time <= at and thing.id not in self.retracted:
                found |= thing.attributes
        return found

    def counting(self, at: int) -> list[Thing]:
        """The activities up to a moment that are a human's and stand."""
        gone = self.retracted | self.machines
        return [thing for thing in self.things.values() if thing.kind in POINTS and thing.time <= at and thing.id not in gone]

    def total(self, at: int) -> int:
        marks = [mark for mark in (self.recycled, self.reset) if mark is not None and mark[0] <= at]
        points = 20 if self.attributes(at).get("title") == "VP" else 0
        for thing in self.counting(at):
            if at - thing.time < LASTS and all((thing.time, "s", thing.id) > mark for mark in marks):
                points += POINTS[thing.kind]
        return points

    def holds(self, at: int, since: int, free: bool = False) -> bool:
        """``free``: whatever holds handoffs back."""
        attributes = self.attributes(at)
        if not free and (attributes.get("company") == "rival" or attributes.get("partner_status") == "held"):
            return False
        fast = any(thing.kind == "form_fill" and thing.seq > since for thing in self.counting(at))
        return fast or self.total(at) >= THRESHOLD

    def first_moment(self, begin: int, since: int, free: bool = False) -> int | None:
        times = {thing.time for thing in self.things.values() if thing.id not in self.retracted and thing.time > begin}
        return next((at for at in (begin, *sorted(times | {self.as_of})) if at <= self.as_of and self.holds(at, since, free)), None)

    # The stages, from the table.

    def move(self, what: str, moment: int | None = None) -> None:
        self.taken.add((self.stage, what))
        stage, type_ = TABLE[self.stage, what]
        if type_ != "sla_breached":
            self.stage, self.entered, self.since, self.respond_by = stage, self.as_of, self.seq, None
            self.peaked = self.by_sales = False
        self.told.append(Told(type_, self.as_of, stage, self.cycle, moment))

    def become(self, moment: int) -> None:
        self.cycle += 1
        self.ground, self.qualified_at = self.since, moment
        self.move("qualifies", moment)
        self.respond_by = self.as_of + ACCEPT_WITHIN

    def look(self, back_to: int | None = None) -> None:
        """Look at the lead after something was said of it; ``back_to``: the time of what came late."""
        rival = self.attributes(self.as_of).get("company") == "rival"
        if rival and self.stage in ("lead", "recycled", "mql"):
            self.move("rival")
        elif not rival and self.stage == "disqualified" and not self.by_sales:
            self.move("no rival")
        frozen = self.switch is not None and self.switch[3]
        if self.stage in OPEN and self.as_of >= self.cooldown_until and not frozen:
            begin = self.as_of if back_to is None else min(max(back_to, self.entered, self.cooldown_until), self.as_of)
            moment = self.first_moment(begin, self.since)
            if moment is not None:
                self.become(moment)
        self.peak()

    def peak(self) -> None:
        self.peaked = self.stage == "mql" and (self.peaked or self.total(self.as_of) >= BELOW)

    def advance(self, clock: int) -> None:
        """Time passes, up to and with a moment."""
        while True:
            due: list[tuple[int, str]] = []
            if self.stage == "mql" and self.respond_by is not None:
                due.append((max(self.respond_by, self.as_of), "waits too long"))
            if self.stage == "mql" and self.peaked:
                ends = sorted({self.as_of} | {thing.time + LASTS for thing in self.things.values() if thing.time + LASTS > self.as_of})
                due += [(at, "falls") for at in ends if self.total(at) < BELOW][:1]
            if self.stage in OPEN and self.cooldown_until > self.as_of:
                due.append((self.cooldown_until, "qualifies"))
            due = [each for each in due if each[0] <= clock]
            if not due:
                return
            at, what = min(due, key=lambda each: (each[0], each[1] != "waits too long"))
            if what == "qualifies":
                if not self._after_cooldown(at):
                    return
                continue
            self.as_of = at
            if what == "waits too long":
                self.respond_by = None
            self.move(what)
            if what == "falls":
                self.cooldown_until = at + COOLED

    def _after_cooldown(self, at: int) -> bool:
        """A cooldown ends; whether that moved the lead, without which its time stays where it was."""
        before, self.as_of, told = self.as_of, at, len(self.told)
        self.look()
        if len(self.told) == told:
            self.as_of = before
            return False
        return True

    # What comes.

    def see(self, time: int) -> None:
        self.first_seen = time if self.first_seen is None else min(self.first_seen, time)

    def event(self, thing: Thing) -> str:
        if thing.id in self.retracted:
            self.see(thing.time)
            return "ignored(retracted)"
        if thing.id in self.things:
            return "ignored(duplicate)"
        self.seq += 1
        late = thing.time < self.as_of
        self.as_of = max(self.as_of, thing.time)
        self.see(thing.time)
        self.things[thing.id] = thing._replace(seq=self.seq)
        self.look(thing.time if late else None)
        return "scored"

    def feedback(self, decision: str, time: int, event_id: str) -> str:
        if (self.stage, decision) not in TABLE:
            return "ignored(out_of_turn)"
        self.seq += 1
        self.as_of = max(self.as_of, time)
        self.move(decision)
        if self.stage == "recycled":
            self.recycled = (time, "s", event_id)
            self.cooldown_until = self.as_of + RECYCLED
        self.by_sales = self.stage == "disqualified"
        return "scored"

    def command(self, what: str, time: int, event_id: str, about: str = "") -> str:
        if what == "erase":
            return self._erase(time)
        self.seq += 1
        self.see(time)
        self.as_of = max(self.as_of, time)
        if what == "reset":
            self.reset = max(self.reset or (0, "", ""), (time, "ops", event_id))
            self.look()
        elif what in ("freeze", "resume"):
            self.switch = max(self.switch or (0, "", "", False), (time, "ops", event_id, what == "freeze"))
            if not self.switch[3]:
                self.look()
        else:
            self._correct(what, about)
        return "scored"

    def has_ground(self) -> bool:
        return self.stage == "mql" and self.first_moment(self.qualified_at, self.ground, free=True) is not None

    def _correct(self, what: str, about: str) -> None:
        since = self.things[about].time if about in self.things and about not in self.retracted else self.as_of
        had_ground = self.has_ground()  # what it lost by a reset or with time is not lost by this
        (self.retracted if what == "retract" else self.machines).add(about)
        if had_ground and not self.has_ground():
            self.move("groundless")
            return
        self.look(since if since < self.as_of else None)

    def _erase(self, time: int) -> str:
        if not self.seq:
            return "ignored(unknown_lead)"
        assert self.first_seen is not None
        if self.first_seen > time:
            return "ignored(duplicate)"
        self.as_of = max(self.as_of, time)
        if self.stage == "mql":
            self.move("erase")
        self.told.append(Told("erased", self.as_of, "erased", 0))
        told, taken = self.told, self.taken
        self.__init__(taken)  # type: ignore[misc]
        self.told = told
        return "scored"
