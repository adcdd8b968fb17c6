"""Generated definitions, as plain data: the whole language (`ALL`) or the part without standing rules, counts and the like (`FIRST`).

What is generated is what lint accepts without errors; warnings are welcome. Histories are in `histories`.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.oracle.alphabet import BOOLEANS, DURATIONS, LISTS, MEMBERS, NUMBERS, TEXTS, ZONES, Values
from tests.oracle.events import SCORED_KINDS, Json
from tests.oracle.histories import arrivals, histories, moments

FIRST = frozenset(["stage"])
ALL = FIRST | frozenset(
    ["active", "caps", "count", "distinct", "freeze", "grades", "inactivity", "machine", "points_from", "set", "tiers", "total", "when"]
)
POINTS = st.sampled_from([10, 25, 0, -5, 2.5, 60, -40])
DIMENSIONS = ["engagement", "fit", "intent"]
KIND_PATHS = {
    "web_visit": ("path", "session_id", "duration_seconds", "host", "utm.source", "path"),
    "form_fill": ("form", "fields.plan", "fields.company_size", "fields.consent", "host"),
    "email_click": ("action", "campaign"),
    "webinar_attendance": ("action", "attended_seconds"),
    "activity": ("name", "properties.points", "properties.plan.size", "properties.tags"),
}
LEAD_PATHS = tuple(path for path in (*TEXTS, *NUMBERS, *MEMBERS, *BOOLEANS) if path.startswith("lead."))
ATTRIBUTE_PATHS = tuple(path.removeprefix("lead.") for path in LEAD_PATHS)
GROUPING_FIELDS = st.sampled_from(["session_id", "campaign", "path", "properties.plan", "fields.company_size"])


def text_of(definition: Json) -> str:
    """The definition as the YAML text of a file. Strings that YAML 1.1 would take for something else come quoted."""

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return yaml.dump(definition, Dumper=Plain, sort_keys=False, allow_unicode=True)


def _present(items: Json) -> Json:
    return {key: value for key, value in items.items() if value is not None}


def maybe(values: Values) -> Values:
    """None more often than not, so that examples stay simple."""
    return st.one_of(st.none(), st.none(), values)


@cache
def tests_of(path: str) -> Values:
    """What may stand beside a field path: a bare value or tests that fit the field."""
    full = path if path in (*TEXTS, *NUMBERS, *MEMBERS, *BOOLEANS) else f"lead.{path}"
    exists = st.builds(lambda there: {"exists": there}, st.booleans())
    if full in TEXTS:
        return st.one_of(_text_tests(TEXTS[full]), exists)
    if full in NUMBERS:
        return st.one_of(_number_tests(NUMBERS[full]), exists)
    if full in BOOLEANS:
        return st.one_of(st.booleans(), st.builds(lambda value: {"ne": value}, st.booleans()), exists)
    some = st.sampled_from([["alpha"], ["BETA", "gamma"], ["alpha", "beta"]])
    return st.one_of(some.map(lambda tags: {"contains": tags[0]}), some.map(lambda tags: {"contains_any": tags}), exists)


def _text_tests(texts: list[str]) -> Values:
    one = st.sampled_from(texts).flatmap(lambda text: st.sampled_from([text, text.upper()]))
    several = st.lists(one, min_size=1, max_size=2, unique=True)
    part = one.map(lambda text: text[:3])
    return st.one_of(
        one,
        several,
        st.builds(lambda test, value: {test: value}, st.sampled_from(["eq", "ne"]), one),
        st.builds(lambda test, value: {test: value}, st.sampled_from(["in", "not_in"]), several),
        st.builds(
            lambda test, name: {test: f"${name}"}, st.sampled_from(["in", "not_in", "contains_any", "words_any"]), st.sampled_from([*LISTS])
        ),
        st.builds(lambda text: {"prefix": text}, st.one_of(part, st.lists(part, min_size=1, max_size=2, unique=True))),
        st.builds(lambda text: {"suffix": text[-3:]}, one),
        st.builds(lambda text: {"contains": text[1:3] or text}, one),
        st.builds(lambda found: {"contains_any": found}, st.lists(part, min_size=1, max_size=2, unique=True)),
        st.builds(lambda found: {"words_any": found}, st.sampled_from([["vp"], ["vice president", "it"], ["plan"], ["demo", "us"]])),
        st.builds(
            lambda text, pattern: {"glob": pattern.format(text[:2], text[-2:])},
            one,
            st.sampled_from(["{0}*", "*{1}", "{0}?*{1}", "[!x]*{1}", "*"]),
        ),
    )


def _number_tests(numbers: list[float]) -> Values:
    one = st.sampled_from([*numbers, 20])
    return st.one_of(
        one,
        st.lists(one, min_size=1, max_size=2, unique=True),
        st.builds(lambda test, value: {test: value}, st.sampled_from(["gte", "gt", "lte", "lt", "ne", "eq"]), one),
        st.builds(lambda low, more: {"gte": low, "lt": low + more}, one, st.sampled_from([1, 50])),
    )


@cache
def conditions(paths: tuple[str, ...], depth: int = 1) -> Values:
    """A `where` over some paths: entries that must all hold, and sometimes a compound."""
    entry = st.sampled_from(paths).flatmap(lambda path: tests_of(path).map(lambda test: {path: test}))
    simple = st.one_of(entry, entry, st.builds(lambda one, other: one | other, entry, entry))
    if depth == 0:
        return simple
    part = conditions(paths, depth - 1)
    compound = st.one_of(
        st.lists(part, min_size=1, max_size=2).map(lambda parts: {"any": parts}),
        st.lists(part, min_size=1, max_size=2).map(lambda parts: {"all": parts}),
        part.map(lambda inner: {"not": inner}),
    )
    return st.one_of(simple, simple, compound, st.builds(lambda one, other: one | other, simple, compound))


AGES = DURATIONS.flatmap(lambda age: st.sampled_from([{"gte": age}, {"lt": age}, {"gt": age}, {"lte": age}]))
GATES = st.one_of(conditions(LEAD_PATHS), AGES.map(lambda test: {"lead.age": test}))
STAGE_GATES = st.sampled_from(
    [{"lead.stage": "mql"}, {"lead.stage": {"ne": "lead"}}, {"lead.cycle": {"gte": 1}}, {"any": [{"lead.cycle": 0}, {"path": "/pricing"}]}]
)
LEAD_CONDITIONS = st.one_of(conditions(ATTRIBUTE_PATHS), AGES.map(lambda test: {"age": test}))


@cache
def event_conditions(kinds: tuple[str, ...], stages: bool) -> Values:
    """What a rule for these kinds asks of an event, of the lead and, with `stages`, of the stage that the event met."""
    paths = tuple(dict.fromkeys(path for kind in kinds for path in KIND_PATHS[kind]))
    of_events = conditions(paths)
    gates = st.one_of(GATES, GATES, STAGE_GATES) if stages else GATES
    return st.one_of(of_events, of_events, st.builds(lambda where, gate: where | gate, of_events, gates), gates)


LIMITS = st.fixed_dictionaries(
    {"count": st.sampled_from([1, 1, 2, 3]), "per": st.one_of(DURATIONS, st.sampled_from(["day", "week", "month", "year", "lifetime"]))},
    optional={"by": GROUPING_FIELDS},
)
DECAYS = st.one_of(
    DURATIONS.map(lambda text: {"half_life": text}),
    DURATIONS.map(lambda text: {"linear": text}),
    DURATIONS.map(lambda text: {"expire_after": text}),
)
COUNTS = st.fixed_dictionaries({"at_least": st.sampled_from([2, 1, 3]), "within": DURATIONS}, optional={"by": GROUPING_FIELDS})
DISTINCT_COUNTS = st.builds(lambda count, field: count | {"distinct": field}, COUNTS, GROUPING_FIELDS)
TIERS = st.lists(
    st.fixed_dictionaries(
        {
            "count": st.one_of(
                st.sampled_from([1, 2]).map(lambda least: {"at_least": least}),
                st.sampled_from([0, 1, 2]).map(lambda size: {"exactly": size}),
            ),
            "within": DURATIONS,
            "points": POINTS,
        }
    ),
    min_size=1,
    max_size=3,
)
BOUNDS = st.fixed_dictionaries({}, optional={"cap": st.sampled_from([0, 20, 60]), "floor": st.sampled_from([0, -10, -50])})


def points_from(fields: list[str]) -> Values:
    """Points out of a field, bounded."""
    return st.builds(
        lambda field, low, high: {"field": field, "min": low, "max": high},
        st.sampled_from(fields),
        st.sampled_from([-10, 0, 5]),
        st.sampled_from([8, 50]),
    )


@st.composite
def rules(draw: st.DrawFn, number: int, features: frozenset[str], groups: list[str]) -> Json:
    """One rule."""
    shape = draw(st.sampled_from(["points", "points", "points", *sorted(features & {"points_from", "set", "tiers"})]))
    kinds = draw(st.lists(st.sampled_from(SCORED_KINDS), min_size=1, max_size=3, unique=True))
    where = maybe(event_conditions(tuple(sorted(kinds)), "stage" in features))
    rule: Json = {"id": f"r{number}", "on": kinds if len(kinds) > 1 else kinds[0], "where": draw(where)}
    if "machine" in features and draw(st.integers(0, 7)) == 7:
        rule["machine"] = True
    if shape == "set":
        return _present(
            rule | {"set": draw(st.dictionaries(st.sampled_from(DIMENSIONS), st.sampled_from([0, 5, -5]), min_size=1, max_size=2))}
        )
    where_to = draw(st.sampled_from(["default", "dimension", "group"] if groups else ["default", "dimension"]))
    if where_to == "dimension":
        rule["dimension"] = draw(st.sampled_from(DIMENSIONS))
    elif where_to == "group":
        rule["group"] = draw(st.sampled_from(groups))
    if "caps" in features:
        rule |= draw(maybe(BOUNDS)) or {}
    if shape == "tiers":
        return _present(rule | {"tiers": draw(TIERS), "weight": draw(maybe(st.sampled_from([0.35, 2])))})
    if shape == "points_from":
        rule["points_from"] = draw(points_from(["properties.points", "fields.company_size", "duration_seconds"]))
    else:
        rule["points"] = draw(POINTS)
    rule |= {"limit": draw(maybe(LIMITS)), "decay": draw(maybe(DECAYS))}
    if "count" in features:
        rule["count"] = draw(maybe(st.one_of(COUNTS, DISTINCT_COUNTS) if "distinct" in features else COUNTS))
    return _present(rule)


@st.composite
def fit_entries(draw: st.DrawFn, number: int, features: frozenset[str], groups: list[str]) -> Json:
    """One entry of `fit`."""
    choice = st.fixed_dictionaries({"where": LEAD_CONDITIONS, "points": POINTS})
    entry: Json = {"id": f"f{number}", "weight": draw(maybe(st.sampled_from([0.5, 2])))}
    shape = draw(st.sampled_from(["where", "one_of", *sorted(features & {"points_from"})]))
    if shape == "one_of":
        entry["one_of"] = draw(st.lists(choice, min_size=1, max_size=3))
    elif shape == "points_from":
        entry |= {"points_from": draw(points_from(["review_points", "company_size"])), "where": draw(maybe(LEAD_CONDITIONS))}
    else:
        entry |= draw(choice)
    where_to = draw(st.sampled_from(["default", "default", "dimension", *(["group"] if groups else [])]))
    if where_to == "dimension":
        entry["dimension"] = draw(st.sampled_from(DIMENSIONS))
    elif where_to == "group":
        entry["group"] = draw(st.sampled_from(groups))
    return _present(entry)


ACTIVITY_CONDITIONS = st.sampled_from(sorted(KIND_PATHS)).flatmap(lambda kind: conditions(KIND_PATHS[kind], depth=0))
INACTIVITY = st.fixed_dictionaries(
    {"after": DURATIONS, "points": st.sampled_from([-10, -1, 5])},
    optional={
        "every": st.sampled_from(["1d", "7d", "30d"]),
        "dimension": st.sampled_from(DIMENSIONS),
        "on": st.lists(st.sampled_from(SCORED_KINDS), min_size=1, max_size=2, unique=True),
        "where": ACTIVITY_CONDITIONS,
        "unless": st.one_of(AGES.map(lambda test: {"lead.age": test}), conditions(LEAD_PATHS)),
    },
)
GRADES = st.dictionaries(
    st.sampled_from([*DIMENSIONS, "total"]), st.sampled_from([{"A": 50, "B": 10, "C": None}, {"1": 25, "2": 0}]), min_size=1, max_size=2
)
SCORE_TESTS = st.builds(
    lambda name, test, bound: {"score": name, test: bound},
    st.sampled_from([*DIMENSIONS, "total"]),
    st.sampled_from(["gte", "gt", "lte", "lt"]),
    st.sampled_from([0, 10, 25, 60]),
)


@st.composite
def qualify_parts(draw: st.DrawFn, features: frozenset[str], awardable: list[str], grades: Json) -> Json:
    """When a lead is an MQL."""
    part: Json = {}
    if awardable:
        part["fast_track"] = draw(maybe(st.lists(st.sampled_from(awardable), min_size=1, max_size=2, unique=True)))
    if "when" in features and draw(st.booleans()):
        leaves = [SCORE_TESTS, LEAD_CONDITIONS.map(lambda where: {"where": where})]
        leaves += [st.sampled_from(awardable).map(lambda rule: {"rule": rule})] if awardable else []
        cells = ["".join(cell) for cell in product(*grades.values())]
        leaves += (
            [st.lists(st.sampled_from(cells), min_size=1, max_size=2, unique=True).map(lambda found: {"cell": {"in": found}})]
            if grades
            else []
        )
        leaf = st.one_of(leaves)
        inner = st.one_of(leaf, leaf.map(lambda clause: {"not": clause}))
        several = st.lists(inner, min_size=1, max_size=3)
        part["when"] = draw(st.one_of(inner, several.map(lambda found: {"any": found}), several.map(lambda found: {"all": found})))
    else:
        bounds = st.sampled_from([10, 25, 0, 60])
        part["threshold"] = draw(st.dictionaries(st.sampled_from(["total", *DIMENSIONS]), bounds, min_size=1, max_size=2))
    return _present(part)


@st.composite
def definitions(draw: st.DrawFn, features: frozenset[str] = ALL) -> Json:
    """A definition that uses no more than the features given."""
    groups = draw(st.dictionaries(st.sampled_from(["web", "mail"]), BOUNDS.flatmap(_with_dimension), max_size=2))
    dimensions: Json = {name: draw(BOUNDS) for name in DIMENSIONS}
    if "total" in features and draw(st.integers(0, 3)) == 3:
        dimensions["total"] = draw(BOUNDS)
    found = [draw(rules(number, features, sorted(groups))) for number in range(draw(st.integers(1, 4)))]
    fit = [draw(fit_entries(number, features, sorted(groups))) for number in range(draw(st.integers(0, 2)))]
    awardable = [rule["id"] for rule in found if "tiers" not in rule and "set" not in rule]
    parts: Json = {
        "definition": "model",
        "version": 1,
        "timezone": draw(maybe(st.sampled_from(ZONES))),
        "horizon": draw(maybe(st.sampled_from(["3d", "30d", "1d"]))),
        "bounds": draw(maybe(st.fixed_dictionaries({"per_day": st.integers(1, 3), "ledger": st.integers(1, 6)}))),
        "dimensions": dimensions,
        "groups": groups or None,
        "rules": found,
        "fit": fit or None,
        "disqualify": draw(maybe(LEAD_CONDITIONS.map(lambda where: [{"id": "d", "where": where}]))),
    }
    if "inactivity" in features:
        idle = draw(st.lists(INACTIVITY, max_size=2))
        parts["inactivity"] = [{"id": f"i{number}"} | entry for number, entry in enumerate(idle)] or None
    if "grades" in features:
        parts["grades"] = draw(maybe(GRADES))
    if "freeze" in features:
        parts["freeze"] = draw(maybe(st.just([{"id": "z", "where": {"partner_status": "held"}}])))
    if "active" in features:
        parts["active"] = draw(
            maybe(st.sampled_from([{"from": "2026-10-25"}, {"until": "2026-11-03"}, {"from": "2026-03-29", "until": "2026-11-02"}]))
        )
    parts["qualify"] = draw(qualify_parts(features, awardable, parts.get("grades") or {}))
    text = repr(parts)
    named = {name: members for name, members in LISTS.items() if f"${name}" in text}
    return _present(parts | {"lists": named or None})


def _with_dimension(bounds: Json) -> Values:
    return st.sampled_from(DIMENSIONS).map(lambda dimension: {"dimension": dimension} | bounds)


__all__ = ["ALL", "FIRST", "arrivals", "definitions", "histories", "moments", "text_of"]
