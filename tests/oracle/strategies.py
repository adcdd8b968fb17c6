"""Generated definitions, as plain data, over the whole language or the part of it that `features` names.

What is generated is what lint accepts without errors; warnings are welcome. Histories are in `histories`.
"""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import product
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.oracle.alphabet import BOOLEANS, DURATIONS, LISTS, MEMBERS, NUMBERS, TEXTS, ZONES, Values
from tests.oracle.events import SCORED_KINDS, Json
from tests.oracle.histories import arrivals, corrections, histories, moments

ALL = frozenset(
    ["active", "caps", "count", "freeze", "grades", "inactivity", "machine", "points_from", "set", "stage", "tiers", "total", "when"]
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


@lru_cache(maxsize=None, typed=True)  # 0 is not False here
def pick(*values: Any) -> Values:
    """One of a few values."""
    return st.sampled_from(values)


@lru_cache(maxsize=None, typed=True)
def some(*values: Any) -> Values:
    """One or two of a few values."""
    return st.lists(pick(*values), min_size=1, max_size=2, unique=True)


def _present(items: Json) -> Json:
    return {key: value for key, value in items.items() if value is not None}


@cache
def maybe(values: Values) -> Values:
    """None half of the time. (`one_of` would give each alternative within the values a share of its own.)"""
    return pick(False, True).flatmap(lambda there: values if there else st.none())


@cache
def rarely(values: Values) -> Values:
    """None most of the time: for what leaves little to compare."""
    return pick(False, False, False, True).flatmap(lambda there: values if there else st.none())


def wanted(theme: str, name: str, values: Values) -> Values:
    """What a definition on this theme has of a part: always its own; of the others little, but some when all are mixed."""
    return values if theme == name else maybe(values) if theme == "mixed" else rarely(values)


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


PERIODS = ["1d", "day", "1h", "2d", "7d", "week", "month", "day", "30d", "year", "lifetime"]
LIMITS = st.fixed_dictionaries(
    {"count": st.sampled_from([1, 1, 2, 3]), "per": st.sampled_from(PERIODS)},
    optional={"by": GROUPING_FIELDS},
)
LONG = st.sampled_from(["7d", "30d"])  # shorter, and nothing would be left to compare
DECAYS = st.one_of(
    LONG.map(lambda text: {"half_life": text}),
    LONG.map(lambda text: {"linear": text}),
    LONG.map(lambda text: {"expire_after": text}),
)
COUNTS = st.fixed_dictionaries(
    {"at_least": st.sampled_from([2, 1, 3]), "within": DURATIONS}, optional={"by": GROUPING_FIELDS, "distinct": GROUPING_FIELDS}
)
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
CLIPS = st.fixed_dictionaries({}, optional={"cap": st.sampled_from([200, 60, 20, 0]), "floor": st.sampled_from([-50, -10, 0])})
BOUNDS = rarely(CLIPS).map(lambda clip: clip or {})


def points_from(fields: list[str]) -> Values:
    """Points out of a field, bounded."""
    return st.builds(
        lambda field, low, high: {"field": field, "min": low, "max": high},
        st.sampled_from(fields),
        st.sampled_from([-10, 0, 5]),
        st.sampled_from([8, 50]),
    )


EVENT_POINTS = points_from(["properties.points", "fields.company_size", "duration_seconds"])
LEAD_POINTS = points_from(["review_points", "company_size"])
RULE_KINDS = st.one_of(
    st.lists(pick("web_visit", "email_click"), min_size=1, max_size=2, unique=True),
    st.lists(pick(*SCORED_KINDS), min_size=1, max_size=3, unique=True),
    st.just(list(SCORED_KINDS)),
)
SETS = st.dictionaries(pick(*DIMENSIONS), pick(0, 5, -5), min_size=1, max_size=2)
CHOICES = st.fixed_dictionaries({"where": LEAD_CONDITIONS, "points": POINTS})
CHOICE_LISTS = st.lists(CHOICES, min_size=1, max_size=3)


@st.composite
def destinations(draw: st.DrawFn, groups: tuple[str, ...]) -> Json:
    """Where points go: to the default, to a dimension or to a group."""
    match draw(pick("default", "dimension", "group") if groups else pick("default", "dimension")):
        case "dimension":
            return {"dimension": draw(pick(*DIMENSIONS))}
        case "group":
            return {"group": draw(pick(*groups))}
        case _:
            return {}


@st.composite
def rules(draw: st.DrawFn, number: int, theme: str, features: frozenset[str], groups: tuple[str, ...]) -> Json:
    """One rule."""
    shapes = features & {"points_from", "set", "tiers"}
    shape = draw(pick("points", *(sorted(shapes) if theme == "mixed" else shapes & {theme})))
    kinds = draw(RULE_KINDS)
    where = wanted(theme, "where", event_conditions(tuple(sorted(kinds)), "stage" in features))
    rule: Json = {"id": f"r{number}", "on": kinds if len(kinds) > 1 else kinds[0], "where": draw(where)}
    if "machine" in features and draw(pick(*range(8))) == 7:
        rule["machine"] = True
    if shape == "set":
        return _present(rule | {"set": draw(SETS)})
    rule |= draw(destinations(groups))
    if "caps" in features:
        rule |= draw(BOUNDS)
    if shape == "tiers":
        return _present(rule | {"tiers": draw(TIERS), "weight": draw(maybe(pick(0.35, 2)))})
    rule |= {"points_from": draw(EVENT_POINTS)} if shape == "points_from" else {"points": draw(POINTS)}
    rule |= {"limit": draw(wanted(theme, "limit", LIMITS)), "decay": draw(wanted(theme, "decay", DECAYS))}
    if "count" in features:
        rule["count"] = draw(wanted(theme, "count", COUNTS))
    return _present(rule)


@st.composite
def fit_entries(draw: st.DrawFn, number: int, features: frozenset[str], groups: tuple[str, ...]) -> Json:
    """One entry of `fit`."""
    entry: Json = {"id": f"f{number}", "weight": draw(maybe(pick(0.5, 2)))} | draw(destinations(groups))
    match draw(pick("where", "one_of", *sorted(features & {"points_from"}))):
        case "one_of":
            entry["one_of"] = draw(CHOICE_LISTS)
        case "points_from":
            entry |= {"points_from": draw(LEAD_POINTS), "where": draw(maybe(LEAD_CONDITIONS))}
        case _:
            entry |= draw(CHOICES)
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


THRESHOLDS = st.dictionaries(pick("total", *DIMENSIONS), pick(10, 25, 0, 60), min_size=1, max_size=2)


@cache
def general_conditions(awardable: tuple[str, ...], cells: tuple[str, ...]) -> Values:
    """What may stand in `when`."""
    leaves = [SCORE_TESTS, LEAD_CONDITIONS.map(lambda where: {"where": where})]
    if awardable:
        leaves.append(pick(*awardable).map(lambda rule: {"rule": rule}))
    if cells:
        leaves.append(some(*cells).map(lambda found: {"cell": {"in": found}}))
    leaf = st.one_of(leaves)
    inner = st.one_of(leaf, leaf.map(lambda clause: {"not": clause}))
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(inner, several.map(lambda found: {"any": found}), several.map(lambda found: {"all": found}))


@st.composite
def qualify_parts(draw: st.DrawFn, features: frozenset[str], awardable: tuple[str, ...], grades: Json) -> Json:
    """When a lead is an MQL."""
    part: Json = {"fast_track": draw(maybe(some(*awardable))) if awardable else None}
    if "when" in features and draw(st.booleans()):
        cells = tuple("".join(cell) for cell in product(*grades.values())) if grades else ()
        part["when"] = draw(general_conditions(awardable, cells))
    else:
        part["threshold"] = draw(THRESHOLDS)
    return _present(part)


GROUPS = st.dictionaries(
    pick("web", "mail"), st.builds(lambda dimension, bounds: {"dimension": dimension} | bounds, pick(*DIMENSIONS), BOUNDS), max_size=2
)
SMALL_BOUNDS = st.fixed_dictionaries({"per_day": pick(1, 2, 3), "ledger": pick(1, 2, 3, 6)})
DISQUALIFY = LEAD_CONDITIONS.map(lambda where: [{"id": "d", "where": where}])
FREEZE = st.just([{"id": "z", "where": {"partner_status": "held"}}])
ACTIVE = st.sampled_from([{"from": "2026-10-25"}, {"until": "2026-11-03"}, {"from": "2026-03-29", "until": "2026-11-02"}])
IDLE_LISTS = st.lists(INACTIVITY, min_size=1, max_size=2)
THEMES = pick("mixed", "where", "limit", "count", "tiers", "set", "decay", "points_from", "inactivity", "stages", "bounds")


@st.composite
def definitions(draw: st.DrawFn, features: frozenset[str] = ALL) -> Json:
    """A definition that uses no more than the features given."""
    theme = draw(THEMES)
    groups = draw(rarely(GROUPS)) or {}
    dimensions: Json = {name: draw(BOUNDS) for name in DIMENSIONS}
    if "total" in features and draw(pick(*range(4))) == 3:
        dimensions["total"] = draw(CLIPS)
    found = [draw(rules(number, theme, features, tuple(sorted(groups)))) for number in range(draw(pick(1, 2, 3, 4)))]
    parts: Json = {
        "definition": "model",
        "version": 1,
        "timezone": draw(maybe(pick(*ZONES))),
        "horizon": draw(wanted(theme, "bounds", pick("3d", "30d", "1d"))),
        "bounds": draw(wanted(theme, "bounds", SMALL_BOUNDS)),
        "dimensions": dimensions,
        "groups": groups or None,
        "rules": found,
        "fit": [draw(fit_entries(number, features, tuple(sorted(groups)))) for number in range(draw(pick(0, 0, 1, 2)))] or None,
    }
    if "inactivity" in features:
        idle = draw(wanted(theme, "inactivity", IDLE_LISTS)) or []
        parts["inactivity"] = [{"id": f"i{number}"} | entry for number, entry in enumerate(idle)] or None
    for feature, values in {"grades": GRADES, "freeze": FREEZE, "active": ACTIVE}.items():
        if feature in features:
            parts[feature] = draw(maybe(values) if theme == "stages" else rarely(values))
    awardable = tuple(rule["id"] for rule in found if "tiers" not in rule and "set" not in rule)
    parts["disqualify"] = draw(wanted(theme, "stages", DISQUALIFY))
    parts["qualify"] = draw(qualify_parts(features, awardable, parts.get("grades") or {}))
    text = repr(parts)
    named = {name: members for name, members in LISTS.items() if f"${name}" in text}
    return _present(parts | {"lists": named or None})


__all__ = ["ALL", "arrivals", "corrections", "definitions", "histories", "moments", "text_of"]
