"""The output events of the core, as plain data: what happened to a lead, for the handoff topic and `mqlstream score` alike.

Ids are deterministic: the same life gives the same ids, wherever and however often it is computed.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import quote

from mqlstream.core.domains import registrable
from mqlstream.core.event import Event
from mqlstream.core.lead import Lead
from mqlstream.core.plan import HandoffShape, Plan
from mqlstream.core.scoring import DIGITS, explain, grade_of, score_of
from mqlstream.core.state import EMAIL, Track

BECAME_MQL = "mqlstream.lead.became_mql.v1"
MQL_WITHDRAWN = "mqlstream.lead.mql_withdrawn.v1"
STAGE_CHANGED = "mqlstream.lead.stage_changed.v1"
COOLED = "mqlstream.lead.cooled.v1"
SLA_BREACHED = "mqlstream.lead.sla_breached.v1"
ERASED = "mqlstream.lead.erased.v1"

Output = dict[str, Any]  # {"type", "id", "lead_id", "time", "data"}


def stable_id(*parts: object) -> str:
    """32 hex digits that depend on the parts alone."""
    return sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()[:32]


def handoff_id(plan: Plan, lead: Lead, track: Track) -> str:
    """The id of the track's newest handoff: of definition, lead, cycle, and the as_of at which it was opened."""
    return stable_id("handoff", plan.id, lead.id, track.cycle, track.opened)


def became_mql(plan: Plan, shape: HandoffShape, lead: Lead, track: Track) -> Output:
    """The handoff: who, what score at ``as_of``, and every contribution that counts in it."""
    as_of = lead.state.as_of
    explained = explain(plan, lead, as_of)
    attributes = lead.attributes(as_of)
    data: dict[str, Any] = {
        "handoff_id": handoff_id(plan, lead, track),
        "lead_id": lead.id,
        "identity": _identity(shape, attributes),
        "account": account_of(lead, attributes),
        "cycle": track.cycle,
        "as_of": as_of,
        "qualified_at": track.qualified_at,
        "first_mql_at": track.first_mql_at,
        "score": score_of(plan, explained.sums),
        "grade": grade_of(plan, explained.sums),
        "threshold": dict(plan.threshold),
        "definition": definition_of(plan),
        "attributes": {name: attributes[name] for name in shape.attributes if name in attributes},
        "contributions": explained.contributions,
        "clipped": explained.clipped,
        "timeline_url": shape.timeline_url.replace("{lead_id}", quote(lead.id, safe="@")) if shape.timeline_url else None,
        "respond_by": track.respond_by if track.respond_by >= 0 else None,
    }
    return _output(BECAME_MQL, lead, as_of, data, data["handoff_id"])


def mql_withdrawn(plan: Plan, lead: Lead, track: Track, stage: str, reason: str) -> Output:
    """The open handoff has lost its ground: ``stage`` is where the lead is now."""
    data: dict[str, Any] = {
        "handoff_id": handoff_id(plan, lead, track),
        "lead_id": lead.id,
        "definition": definition_of(plan),
        "cycle": track.cycle,
        "as_of": lead.state.as_of,
        "stage": stage,
        "reason": reason,
    }
    return _output(MQL_WITHDRAWN, lead, lead.state.as_of, data, data["handoff_id"])


def cooled(plan: Plan, lead: Lead, track: Track, total: float) -> Output:
    """The open handoff's score has fallen below `rearm.below` before sales took it: the lead is no MQL any more."""
    assert plan.rearm is not None
    data = _of_handoff(plan, lead, track) | {
        "score": {"total": round(total, DIGITS)},
        "below": plan.rearm.below,
        "cooldown_until": lead.state.as_of + plan.rearm.cooldown_ms,
    }
    return _output(COOLED, lead, lead.state.as_of, data, data["handoff_id"])


def sla_breached(plan: Plan, lead: Lead, track: Track) -> Output:
    """Sales has not answered the open handoff in time."""
    data = _of_handoff(plan, lead, track) | {"respond_by": track.respond_by}
    return _output(SLA_BREACHED, lead, lead.state.as_of, data, data["handoff_id"])


def erased(lead: Lead, command: Event) -> Output:
    """The lead is no more: whoever keeps something of it is asked to forget it too."""
    data = {"lead_id": lead.id, "as_of": lead.state.as_of}
    data |= {name: command.body[name] for name in ("reason", "by") if command.body.get(name) is not None}
    return _output(ERASED, lead, lead.state.as_of, data, command.source, command.id)


def _of_handoff(plan: Plan, lead: Lead, track: Track) -> dict[str, Any]:
    return {
        "handoff_id": handoff_id(plan, lead, track),
        "lead_id": lead.id,
        "definition": definition_of(plan),
        "cycle": track.cycle,
        "as_of": lead.state.as_of,
    }


def stage_changed(
    plan: Plan, lead: Lead, track: Track, before: str, cause: str, reason: str | None = None, by: str | None = None
) -> Output:
    """The lead moved from stage ``before`` to the track's stage: ``cause`` is what did it, ``reason`` and ``by`` are sales' words."""
    data = {
        "lead_id": lead.id,
        "definition": definition_of(plan),
        "cycle": track.cycle,
        "as_of": lead.state.as_of,
        "from": before,
        "to": track.stage,
        "reason": cause,
    }
    data |= {name: value for name, value in (("comment", reason), ("by", by)) if value is not None}
    return _output(STAGE_CHANGED, lead, lead.state.as_of, data, plan.id, before, track.stage, lead.state.as_of, lead.state.seq)


def definition_of(plan: Plan) -> dict[str, Any]:
    return {"id": plan.id, "version": plan.version, "digest": plan.digest}


def account_of(lead: Lead, attributes: dict[str, Any]) -> str | None:
    """The lead's account: its ``account`` attribute, else its address's registrable domain, unless that is free or throw-away mail."""
    account = attributes.get("account")
    if isinstance(account, str) and account:
        return account
    kind = attributes.get("email_kind")
    if kind not in ("business", "role") or attributes["email_domain"] in lead.email_lists.free:
        return None
    return registrable(attributes["email_domain"])


def _identity(shape: HandoffShape, attributes: dict[str, Any]) -> dict[str, Any]:
    identity = {"email": attributes.get(EMAIL)}
    identity.update({name: attributes[name] for name in shape.identity if name in attributes})
    return identity


def _output(kind: str, lead: Lead, time: int, data: dict[str, Any], *parts: object) -> Output:
    return {"type": kind, "id": stable_id(kind, lead.id, *parts), "lead_id": lead.id, "time": time, "data": data}
