"""An account: what its leads are worth together at a moment, and when it becomes an MQA. Pure: changes in, output events out.

The condition is looked at after every change of a lead of the account, at the change's time; when it arrives after later
ones, also at their times, as far back as the account's state was entered. Leads' scores are known with what time does to
them (`mqlstream.core.outlook`), so that sums at a moment are sums at that moment.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import fsum
from typing import NamedTuple

import msgspec

from mqlstream.core.event import DAY_MS
from mqlstream.core.fall import MINUTE_MS, whole_minute
from mqlstream.core.outlook import Outlook
from mqlstream.core.outputs import Output, stable_id
from mqlstream.core.scoring import EPSILON, rounded
from mqlstream.core.state import NEVER
from mqlstream.core.told import ERASED, STAYED, Activated, Asked, Change, Move

BECAME_MQA = "mqlstream.account.became_mqa.v1"

LEADS = 10_000  # of one account; beyond, those with the lowest scores are forgotten
MOVES_KEPT = 16  # of one lead: how far back a moment can be looked at again
PEOPLE_TOLD = 100


class Version(msgspec.Struct, array_like=True):
    """One lead from ``as_of`` on: an outlook by definition, and the version it was ``made`` with."""

    as_of: int
    outlooks: dict[str, Outlook]
    made: dict[str, int] = {}


class AccountTrack(msgspec.Struct, array_like=True):
    """An account's life under one definition. Times are epoch milliseconds, `NEVER` where there is none yet.

    ``entered`` is when it became an MQA or ceased to be one, ``looked`` up to when it has been looked at; ``peaked``: the sum was
    at or above ``below`` in this cycle.

    ``judged`` is when the newest activation was pushed, ``held`` whether the account fulfilled the version before it; ``quiet``: time
    alone does not make it an MQA. ``since``: from when on it is to be looked at as soon as all its leads are rescored.
    """

    asked: Asked
    mqa: bool = False
    cycle: int = 0
    entered: int = NEVER
    looked: int = NEVER
    cooldown_until: int = NEVER
    first_mqa_at: int = NEVER
    peaked: bool = False
    judged: int = NEVER
    held: bool = False
    quiet: bool = False
    since: int = NEVER


class AccountState(msgspec.Struct, array_like=True):
    """What is remembered of an account besides its leads. ``as_of`` is the time of its newest change."""

    as_of: int = NEVER
    tracks: dict[str, AccountTrack] = {}


class _Score(NamedTuple):
    total: float
    engagement: float
    lead: str


class Account:
    """One account, opened: its state and the versions of its leads, each lead's by time."""

    def __init__(self, name: str, state: AccountState, leads: dict[str, list[Version]]) -> None:
        self.name = name
        self.state = state
        self.leads = leads

    def take(self, changes: Sequence[Change]) -> list[Output]:
        """Apply what happened to leads: of changes that come together all moves in order of time, each lead's as they stand."""
        steps: list[tuple[int, Change, Move | None]] = []
        reached: dict[str, int] = {}
        for change in changes:
            lead = change.lead
            for move in change.moves:
                reached[lead] = max(move.as_of, reached.get(lead, NEVER), change.activated.at_ms if change.activated else NEVER)
                steps.append((reached[lead], change, move))
            if change.gone != STAYED:
                reached[lead] = max(change.until_ms, reached.get(lead, NEVER))
                steps.append((reached[lead], change, None))
        if len(reached) > 1:
            steps.sort(key=_time)
        outputs: list[Output] = []
        for time, change, step in steps:
            outputs += self.pass_time(time)
            if step is None:
                self._let_go(change)
                continue
            if change.activated is not None:
                outputs += self._take_over(change, change.activated, step)
                continue
            self._note(change.lead, change.asked, step)
            for asked in change.asked:
                outputs += self._look(asked, step.as_of)
        return outputs

    def _take_over(self, change: Change, activated: Activated, move: Move) -> list[Output]:
        """A lead is scored under another version from now on: whom that alone hands off is for the version to say."""
        asked = next((each for each in change.asked if each.definition == activated.definition), None)
        track = self._judged(asked, activated) if asked is not None else None
        self._note(change.lead, change.asked, move)
        if track is None or activated.at_ms < track.judged:
            return []  # it asks for no accounts; or a newer one is known
        below = track.asked.below
        if track.mqa:  # a fall under the version begins with it
            track.peaked = below is not None and self._sum(activated.definition, self.state.as_of) >= below - EPSILON
        elif activated.handoff == "none":
            track.quiet = not track.held
        elif activated.handoff == "all" or not track.held:
            track.since = self.state.as_of if track.since == NEVER else track.since
        return self._live(track, track.since) if track.since != NEVER else []

    def _judged(self, asked: Asked, activated: Activated) -> AccountTrack:
        """The track, which knows of the activation: the first time it is looked at what the account is under the version before."""
        track = self.state.tracks.get(asked.definition)
        if track is None:
            track = self.state.tracks[asked.definition] = AccountTrack(asked, judged=activated.at_ms)
        elif activated.at_ms > track.judged:
            track.held = self._holds(track.asked, self.state.as_of)
            track.judged = activated.at_ms
        if asked.version >= track.asked.version:
            track.asked = asked
        return track

    def _is_between(self, track: AccountTrack) -> bool:
        """Whether some of the leads are still to be rescored. Not for ever: one may have gone where nothing tells of it any more."""
        name, version = track.asked.definition, track.asked.version
        if self.state.as_of - track.judged >= DAY_MS:
            return False
        return any(versions[-1].made.get(name, version) < version for versions in self.leads.values())

    def _let_go(self, change: Change) -> None:
        self.leads.pop(change.lead, None)
        if change.gone == ERASED and not self.leads:
            self.state = AccountState()  # nobody may be known by the account they were alone in

    def pass_time(self, until_ms: int) -> list[Output]:
        """What time alone does up to and at a moment: sums fall below `rearm`, cooldowns end."""
        self.state.as_of = max(self.state.as_of, until_ms)
        outputs: list[Output] = []
        for track in self.state.tracks.values():
            if track.looked < until_ms:
                if track.mqa or (track.looked < track.cooldown_until and not track.quiet):
                    outputs += self._live(track, track.looked)
                track.looked = self.state.as_of
        return outputs

    @property
    def due(self) -> int:
        """When a cooldown ends next, `NEVER` when none does."""
        waiting = [track for track in self.state.tracks.values() if not track.mqa and not track.quiet]
        return min((track.cooldown_until for track in waiting if track.cooldown_until > track.looked), default=NEVER)

    def _note(self, lead: str, asked: tuple[Asked, ...], move: Move) -> None:
        versions = self.leads.setdefault(lead, [])
        if versions and versions[-1].as_of > move.as_of:
            return  # given back by hand after a failure: the lead has gone on
        outlooks = {each.definition: outlook for each, outlook in zip(asked, move.outlooks, strict=True)}
        if versions and versions[-1].as_of == move.as_of:
            versions.pop()
        elif versions:
            last = versions[-1]
            last.outlooks = {name: outlook.until(move.as_of) for name, outlook in last.outlooks.items()}
        versions.append(Version(move.as_of, outlooks, {each.definition: each.version for each in asked}))
        del versions[:-MOVES_KEPT]

    def _look(self, asked: Asked, since: int) -> list[Output]:
        """Look at the condition from a change on, as far back as the state was entered."""
        track = self.state.tracks.get(asked.definition)
        if track is None:
            track = self.state.tracks[asked.definition] = AccountTrack(asked)
        elif asked.version >= track.asked.version:
            track.asked = asked
        track.quiet = False
        return self._live(track, self.state.as_of if track.mqa else max(since, track.entered))

    def _live(self, track: AccountTrack, since: int) -> list[Output]:
        """Live through a track's moments from ``since`` to the newest: what has not been seen of them happens now.

        Not while its leads are scored under different versions, and no further back than to the newest one's activation.
        """
        since = max(since if track.since == NEVER else min(since, track.since), track.judged)
        if self._is_between(track):
            track.since = since
            return []
        track.since = NEVER
        outputs: list[Output] = []
        moment: int | None = since
        while moment is not None:
            since = moment
            if track.mqa:
                moment = self._fall(track, since)
                if moment is not None:
                    track.mqa, track.peaked = False, False
                    track.entered, track.cooldown_until = moment, moment + track.asked.cooldown_ms
            else:
                moment = self._rise(track, since)
                if moment is not None:
                    outputs.append(self._become(track, moment))
        track.looked = self.state.as_of
        return outputs

    def _rise(self, track: AccountTrack, since: int) -> int | None:
        """The first moment from ``since`` on at which the account qualifies, of all changes and the end of the cooldown."""
        start = max(since, track.cooldown_until)
        moments = {version.as_of for versions in self.leads.values() for version in versions if version.as_of > start}
        return next((at for at in sorted({start, *moments}) if NEVER < at <= self.state.as_of and self._holds(track.asked, at)), None)

    def _fall(self, track: AccountTrack, since: int) -> int | None:
        """The first whole UTC minute from ``since`` on at which the sum, once it was as high, is below `rearm.below`."""
        below, name, newest = track.asked.below, track.asked.definition, self.state.as_of
        if below is None:
            return None
        changes = {version.as_of for versions in self.leads.values() for version in versions if since < version.as_of <= newest}
        ends = {*changes, newest, *range((since // DAY_MS + 1) * DAY_MS, newest, DAY_MS)}
        probes = {at for end in ends for at in (end // MINUTE_MS * MINUTE_MS, whole_minute(end)) if since <= at <= newest}
        high = since
        for probe in sorted(probes if track.peaked else {since, *changes, *probes}):
            if self._sum(name, probe) >= below - EPSILON:
                track.peaked, high = True, probe
            elif track.peaked and probe % MINUTE_MS == 0:
                return self._first_below(name, below, high, probe)
        return None

    def _first_below(self, name: str, below: float, high_at: int, low_at: int) -> int:
        """The first whole minute below, after a moment that is not, and up to a whole minute that is; nothing happens in between."""
        high_at = high_at // MINUTE_MS * MINUTE_MS
        while low_at - high_at > MINUTE_MS:
            middle = whole_minute((high_at + low_at) // 2)
            if self._sum(name, middle) < below - EPSILON:
                low_at = middle
            else:
                high_at = middle
        return low_at

    def scores_at(self, definition: str, at: int) -> list[_Score]:
        """The scores of the leads that the account had by then under a definition, each at that moment."""
        scores = []
        for lead, versions in self.leads.items():
            place = len(versions) if versions[-1].as_of <= at else bisect_right(versions, at, key=_as_of)
            outlook = versions[place - 1].outlooks.get(definition) if place else None
            if outlook is not None:
                scores.append(_Score(*outlook.score_at(at), lead))
        return scores

    def _sum(self, definition: str, at: int) -> float:
        return fsum(score.total for score in self.scores_at(definition, at))

    def _holds(self, asked: Asked, at: int) -> bool:
        """Whether the account qualifies at a moment."""
        if (asked.active_from is not None and at < asked.active_from) or (asked.active_until is not None and at >= asked.active_until):
            return False
        if asked.at_least is not None and len(self.leads) < asked.at_least:
            return False
        scores = self.scores_at(asked.definition, at)
        if not scores or (asked.at_least is not None and len(_engaged(asked, scores)) < asked.at_least):
            return False
        if asked.sum is not None and fsum(score.total for score in scores) < asked.sum - EPSILON:
            return False
        return asked.best is None or max(score.total for score in scores) >= asked.best - EPSILON

    def _become(self, track: AccountTrack, at: int) -> Output:
        track.mqa, track.entered, track.peaked = True, at, False
        track.cycle += 1
        if track.first_mqa_at == NEVER:
            track.first_mqa_at = at
        return became_mqa(self.name, track, self.scores_at(track.asked.definition, at))

    def prune(self) -> list[str]:
        """Forget leads beyond `LEADS`: those with the lowest best score now, and of these the ones heard of longest ago."""
        if len(self.leads) <= LEADS + LEADS // 10:
            return []  # not for every lead too many: all of them have to be looked at
        at = self.state.as_of
        ranks = {
            lead: (max([outlook.score_at(at)[0] for outlook in versions[-1].outlooks.values()], default=0.0), versions[-1].as_of, lead)
            for lead, versions in self.leads.items()
        }
        gone = sorted(ranks, key=ranks.__getitem__)[: len(ranks) - LEADS]
        for lead in gone:
            del self.leads[lead]
        return gone


def _as_of(version: Version) -> int:
    return version.as_of


def _time(step: tuple[int, Change, Move | None]) -> int:
    return step[0]


def _engaged(asked: Asked, scores: list[_Score]) -> list[_Score]:
    return [score for score in scores if asked.engagement is None or score.engagement >= asked.engagement - EPSILON]


def became_mqa(account: str, track: AccountTrack, scores: list[_Score]) -> Output:
    """The output event: the account qualified when its state was entered, with these scores of its leads, the best of them told."""
    asked = track.asked
    best = sorted(scores, key=lambda score: (-score.total, -score.engagement, score.lead))
    threshold = {"at_least": asked.at_least, "engagement": asked.engagement, "sum": asked.sum, "best": asked.best}
    data = {
        "account": account,
        "definition": {"id": asked.definition, "version": asked.version, "digest": asked.digest},
        "cycle": track.cycle,
        "as_of": track.entered,
        "first_mqa_at": track.first_mqa_at,
        "sum": rounded(fsum(score.total for score in scores)),
        "best": rounded(best[0].total),
        "engaged": len(_engaged(asked, scores)),
        "leads": len(scores),
        "people": [
            {"lead_id": score.lead, "total": rounded(score.total), "engagement": rounded(score.engagement)} for score in best[:PEOPLE_TOLD]
        ],
        "threshold": {name: value for name, value in threshold.items() if value is not None},
    }
    event_id = stable_id(BECAME_MQA, asked.definition, account, track.cycle, track.entered)
    return {"type": BECAME_MQA, "id": event_id, "lead_id": account, "time": track.entered, "data": data}
