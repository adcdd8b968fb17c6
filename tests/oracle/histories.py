"""Generated histories: canonical input events of a few leads, in order of time, and orders in which they may arrive."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.oracle.alphabet import EMAILS, GAPS_MS, NUMBERS, ODD, STARTS, TAGS, TEXTS, TITLES, URLS, Values, usually
from tests.oracle.events import Json, epoch_ms

KINDS = [
    "web_visit",
    "web_visit",
    "web_visit",
    "form_fill",
    "form_fill",
    "email_click",
    "email_click",
    "webinar_attendance",
    "activity",
    "profile",
]
LEADS = [{"lead_id": "ann"}, {"lead_id": "ann"}, {"lead_id": "ann"}, {"lead_id": "bob"}, {"email": " Eve@Rival.example"}]


def _object(**fields: Values) -> Values:
    return st.fixed_dictionaries({}, optional=fields)


_url = st.sampled_from(URLS)
_page = {
    "path": usually(TEXTS["path"], [None]),
    "duration_seconds": usually(list(NUMBERS["duration_seconds"]), [None]),
    "session_id": st.sampled_from(["s1", "s2"]),
}
_form_fields = _object(
    company_size=usually(list(NUMBERS["fields.company_size"])), plan=usually(TEXTS["fields.plan"]), consent=usually([True, False])
)
_properties = _object(
    points=usually(list(NUMBERS["properties.points"])),
    tags=usually([[], TAGS[:1], TAGS, "alphabet", ["gamma", 1]]),
    plan=st.sampled_from([{"size": 3}, {"size": 4}, "pro"]),
    **{"plan.size": st.sampled_from([3, 4, "3"])},
)
_attributes = _object(
    title=usually(TITLES),
    country=usually(["NO", "de"], [None]),
    company_size=usually([50, 800]),
    customer=usually([True, False]),
    partner_status=st.sampled_from(["held", "free", None]),
    tags=usually([TAGS, TAGS[1:]]),
    review_points=usually([10, 99]),
)
FIELDS: dict[str, Values] = {
    "web_visit": _object(url=_url, **_page),
    "form_fill": _object(form=usually(TEXTS["form"], []), fields=_form_fields, url=_url),
    "email_click": st.fixed_dictionaries(
        {"action": st.sampled_from(["open", "click", "unsubscribe", "bounce", "delivered"])},
        optional={"campaign": usually(TEXTS["campaign"], [])},
    ),
    "webinar_attendance": _object(
        webinar=st.just("w"), action=st.sampled_from(["registered", "attended", "no_show"]), attended_seconds=usually([0, 600], [None])
    ),
    "activity": st.fixed_dictionaries({"name": st.sampled_from(TEXTS["name"])}, optional={"properties": _properties}),
    "profile": st.fixed_dictionaries({"attributes": _attributes}),
}


@st.composite
def events(draw: st.DrawFn, number: int, time: int) -> Json:
    """One event at a time; the first letter of the id shuffles what happens at one instant."""
    kind = draw(st.sampled_from(KINDS))
    event = draw(FIELDS[kind]) | draw(st.sampled_from(LEADS)) | {"kind": kind, "time": time}
    event |= {"id": f"{draw(st.sampled_from('baZ'))}{number}", "source": draw(st.sampled_from(["s", "t"]))}
    if draw(st.integers(0, 5)) == 5 and "lead_id" in event:
        event["email"] = draw(st.sampled_from(EMAILS))
    if draw(st.integers(0, 6)) == 6 and kind != "profile":
        event["machine"] = True
    return dict(event)


@st.composite
def histories(draw: st.DrawFn, max_size: int = 25, conflicts: bool = True) -> list[Json]:
    """Between one event and `max_size`, in order of time, each id once but, with `conflicts`, for a rare conflicting duplicate."""
    time = epoch_ms(draw(st.sampled_from(STARTS)))
    found: list[Json] = []
    at_least = draw(st.sampled_from([1, 3, 8, 15]))  # left to itself, a list is short
    for number, gap in enumerate(draw(st.lists(st.sampled_from(GAPS_MS), min_size=at_least, max_size=max_size))):
        time += gap
        found.append(draw(events(number, time)))
    if conflicts and draw(st.integers(0, 9)) == 9:
        found.append(draw(conflicting(draw(st.sampled_from(found)))))
    return found


@st.composite
def conflicting(draw: st.DrawFn, event: Json) -> Json:
    """The same event told differently: later, or longer."""
    changed: Json = draw(st.sampled_from([{"time": event["time"] + 3_600_000}, {"duration_seconds": 41}]))
    return event | changed


def arrivals(history: list[Json]) -> st.SearchStrategy[list[Json]]:
    """The history in any order, with some of it more than once."""
    return st.lists(st.sampled_from(history), max_size=5).flatmap(lambda again: st.permutations([*history, *again]))


def moments(history: list[Json]) -> st.SearchStrategy[int]:
    """Times worth asking about: of events, and some while after them."""
    return st.builds(lambda event, gap: int(event["time"] + gap), st.sampled_from(history), st.sampled_from(GAPS_MS))


__all__: list[Any] = ["ODD", "arrivals", "conflicting", "events", "histories", "moments"]
