"""Rules: points for what a lead does; and what a condition can ask of a field."""

from __future__ import annotations

from mqlstream.definition.fields.shared import CAP, FLOOR, ID, KINDS_OF_ACTIVITY, LABEL, PATH, SCORE
from mqlstream.definition.types import (
    Boolean,
    Choice,
    Construct,
    Duration,
    Either,
    Field,
    Integer,
    ListOf,
    MapOf,
    Number,
    Object,
    Ref,
    Text,
    Value,
    Values,
    Where,
)

_RULE_FRAME = "groups: {web: {dimension: engagement}}\nrules: [@]"
RULES = (
    Construct(
        "rule",
        "Points for what a lead does.",
        (
            Field("id", ID, "Unique within the file.", "pricing-visit", required=True, beside="on: web_visit, points: 5"),
            Field(
                "on",
                KINDS_OF_ACTIVITY,
                "The kinds of event it looks at.",
                "[web_visit, form_fill]",
                required=True,
                beside="id: a, points: 5",
            ),
            Field(
                "where", Where("event"), "What the event must be like; every entry must hold.", "{path: {prefix: /pricing}}", "any event"
            ),
            Field("points", Number(), "May be negative or fractional.", "25", beside="id: a, on: web_visit"),
            Field(
                "points_from",
                Object("points_from"),
                "Takes the points from the event.",
                "{field: properties.points, min: -10, max: 50}",
                beside="id: a, on: activity",
            ),
            Field(
                "tiers",
                ListOf(Object("tier"), least=1, most=50),
                "The first that holds at `as_of` gives the points.",
                "[{count: {at_least: 1}, within: 7d, points: 100}]",
                beside="id: a, on: form_fill",
            ),
            Field("weight", Number(), "Multiplies the points.", "0.35", "1"),
            Field(
                "set",
                MapOf(Ref("dimension"), SCORE, least=1),
                "Starts dimensions again from the values given.",
                "{engagement: 0}",
                beside="id: a, on: email_click, where: {action: unsubscribe}",
            ),
            Field("dimension", Ref("dimension"), "Where the points go.", "fit", "the group's, else engagement"),
            Field("group", Ref("group"), "Shares the group's floor and cap.", "web", "none"),
            Field("limit", Object("limit"), "How often it awards.", "{count: 1, per: 7d}", "no limit"),
            Field("decay", Object("decay"), "How an award fades.", "{half_life: 14d}", "never fades"),
            Field("count", Object("count"), "Awards only from the Nth match on.", "{at_least: 3, within: 7d}", "every match"),
            Field("floor", FLOOR, "Of this rule's sum, before its group's.", "-20", "none"),
            Field("cap", CAP, "Of this rule's sum, before its group's.", "50", "none"),
            Field("machine", Boolean(), "Matches events of mail scanners and bots, and those only.", "true", "false"),
            Field("label", LABEL, "What sales reads.", "Looked at pricing", "the id"),
            Field("intent", Text(), "A free tag: tofu, mofu, bofu, ...", "bofu", "none"),
        ),
        frame=_RULE_FRAME,
        base="id: a, on: web_visit, points: 5",
        exactly_one=(("points", "points_from", "tiers", "set"),),
        apart={"set": ("limit", "decay", "count"), "tiers": ("limit", "decay", "count")},
    ),
    Construct(
        "points_from",
        "Points that the event or the lead brings along; a value that is no number awards 0.",
        (
            Field("field", PATH, "Where the number is.", "properties.points", required=True, beside="min: 0, max: 50"),
            Field("min", Number(), "Never fewer.", "-10", required=True, beside="field: properties.points, max: 50"),
            Field("max", Number(), "Never more.", "50", required=True, beside="field: properties.points, min: -10"),
        ),
        frame="rules: [{id: a, on: activity, points_from: @}]",
        base="field: properties.points, min: 0, max: 50",
    ),
    Construct(
        "limit",
        "Through the matching events in order, one is awarded if fewer than `count` were within the last `per`.",
        (
            Field("count", Integer(1, 10_000), "So many awards.", "1", required=True, beside="per: week"),
            Field(
                "per",
                Either(Duration(), Choice(("day", "week", "month", "year", "lifetime"))),
                "A sliding time, or a calendar unit of `timezone`.",
                "7d",
                required=True,
                beside="count: 1",
            ),
            Field("by", PATH, "For each value of this field of the event by itself.", "path", "all together"),
        ),
        frame="rules: [{id: a, on: web_visit, points: 5, limit: @}]",
        base="count: 1, per: 7d",
    ),
    Construct(
        "decay",
        "How an award fades with its age.",
        (
            Field("half_life", Duration(), "Half of it is left after each.", "14d", beside=""),
            Field("linear", Duration(), "Nothing is left after it, in a straight line.", "60d", beside=""),
            Field("expire_after", Duration(), "All of it until then, nothing from then on.", "90d", beside=""),
        ),
        frame="rules: [{id: a, on: web_visit, points: 5, decay: @}]",
        base="half_life: 14d",
        exactly_one=(("half_life", "linear", "expire_after"),),
    ),
    Construct(
        "count",
        "The rule's event is the Nth or later match within a time.",
        (
            Field("at_least", Integer(1, 10_000), "N.", "3", required=True, beside="within: 7d"),
            Field("within", Duration(), "The time that ends with the event.", "7d", required=True, beside="at_least: 3"),
            Field("by", PATH, "Counts per value of this field.", "session_id", "all together"),
            Field("distinct", PATH, "Counts distinct values of this field.", "path", "counts events"),
        ),
        frame="rules: [{id: a, on: web_visit, points: 5, count: @}]",
        base="at_least: 3, within: 7d",
    ),
    Construct(
        "tier",
        "One step of a standing rule.",
        (
            Field("count", Object("tier_count"), "How many matches.", "{at_least: 1}", required=True, beside="within: 7d, points: 100"),
            Field(
                "within", Duration(), "In the time that ends at `as_of`.", "7d", required=True, beside="count: {at_least: 1}, points: 100"
            ),
            Field("points", Number(), "What it gives.", "100", required=True, beside="count: {at_least: 1}, within: 7d"),
        ),
        frame="rules: [{id: a, on: form_fill, tiers: [@]}]",
        base="count: {at_least: 1}, within: 7d, points: 100",
    ),
    Construct(
        "tier_count",
        "How many matches a tier asks for.",
        (
            Field("at_least", Integer(1, 10_000), "So many or more.", "1", beside=""),
            Field("exactly", Integer(0, 10_000), "So many and no more; may be 0.", "0", beside=""),
        ),
        frame="rules: [{id: a, on: form_fill, tiers: [{count: @, within: 7d, points: 5}]}]",
        base="at_least: 1",
        exactly_one=(("at_least", "exactly"),),
    ),
)

_TEST_FRAME = "lists: {places: [berlin, paris]}\nrules: [{id: a, on: form_fill, where: {fields.city: @}, points: 5}]"
_NUMBER_TEST = Value()  # a number, or a duration beside `age`: told apart where the field is known
COMPARISON = (
    Construct(
        "comparison",
        "What a field must be like; all of them. A bare value means `eq`, a bare list `in`.",
        (
            Field("eq", Value(), "Equal; text without regard to case.", "Berlin"),
            Field("ne", Value(), "Not equal, or missing.", "Berlin", beside=""),
            Field("in", Values(named=True), "Equal to one of them.", "[berlin, paris]"),
            Field("not_in", Values(named=True), "Equal to none of them, or missing.", "$places"),
            Field("gt", _NUMBER_TEST, "A number above.", "10"),
            Field("gte", _NUMBER_TEST, "A number at or above.", "10"),
            Field("lt", _NUMBER_TEST, "A number below.", "10"),
            Field("lte", _NUMBER_TEST, "A number at or below.", "10"),
            Field("prefix", Values(text=True, bare=True), "Begins with it, or with one of them.", "/pricing"),
            Field("suffix", Values(text=True, bare=True), "Ends with it, or with one of them.", "[.pdf, .docx]"),
            Field("contains", Text("text", longest=1000, empty=True), "The text contains it; a list has it as member.", "report"),
            Field("contains_any", Values(text=True, named=True), "Contains one of them.", "[report, study]"),
            Field("words_any", Values(text=True, named=True), "Has one of these words or phrases.", "[cto, head of]"),
            Field("glob", Text("text", longest=1000), "The whole text matches: `*`, `?`, `[...]`.", "/blog/*/2026"),
            Field("exists", Boolean(), "Is there, or is missing.", "true"),
        ),
        frame=_TEST_FRAME,
        base="ne: Rome",
    ),
)
