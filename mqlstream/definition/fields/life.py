"""Qualification, sales' answer, accounts; and the tests of a definition."""

from __future__ import annotations

from mqlstream.core.event import KINDS
from mqlstream.definition.fields.shared import SCORE
from mqlstream.definition.known import STAGES
from mqlstream.definition.types import (
    BusinessHours,
    Choice,
    Construct,
    Day,
    Duration,
    Field,
    Instant,
    Integer,
    Json,
    ListOf,
    MapOf,
    Object,
    Ref,
    Text,
    When,
)

_QUALIFY_FRAME = "rules: [{id: demo-request, on: form_fill, points: 40}]\nqualify: @"
LIFE = (
    Construct(
        "qualify",
        "What makes a lead an MQL, and how it can become one again.",
        (
            Field(
                "threshold",
                MapOf(Ref("score"), SCORE, least=1, most=50),
                "All of them, each at or above.",
                "{total: 100, fit: 20}",
                beside="",
            ),
            Field("when", When(), "The general form of `threshold`.", "{any: [{score: total, gte: 100}, {rule: demo-request}]}", beside=""),
            Field(
                "fast_track",
                ListOf(Ref("rule"), least=1, most=200),
                "Rules that qualify at once; disqualification still wins.",
                "[demo-request]",
                "none",
                beside="",
            ),
            Field("rearm", Object("rearm"), "When an MQL that sales did not accept cools down.", "{below: 70, cooldown: 30d}", "never"),
            Field(
                "recycle",
                Object("recycle"),
                "What happens when sales recycles or rejects.",
                "{set: {engagement: 0}, cooldown: 14d}",
                "nothing",
            ),
        ),
        frame=_QUALIFY_FRAME,
        base="threshold: {total: 100}",
        at_least_one=("threshold", "when", "fast_track"),
        apart={"when": ("threshold",)},
    ),
    Construct(
        "rearm",
        "Goes back to the start when the score falls, and may qualify again.",
        (
            Field("below", SCORE, "When the total falls under it.", "70", required=True, beside="cooldown: 30d"),
            Field("cooldown", Duration(), "Not again before this has passed.", "30d", "at once"),
        ),
        frame="qualify: {threshold: {total: 100}, rearm: @}",
        base="below: 70",
    ),
    Construct(
        "recycle",
        "What happens when sales recycles or rejects a lead.",
        (
            Field(
                "set",
                MapOf(Ref("dimension"), SCORE, least=1),
                "Starts dimensions again from the values given.",
                "{engagement: 0}",
                "nothing",
            ),
            Field("cooldown", Duration(), "Not an MQL again before this has passed.", "14d", "at once", beside=""),
        ),
        frame="qualify: {threshold: {total: 100}, recycle: @}",
        at_least_one=("set", "cooldown"),
        base="cooldown: 14d",
    ),
    Construct(
        "sla",
        "How soon sales answers a handoff.",
        (
            Field("accept_within", Duration(), "So much business time.", "2h", required=True, beside=""),
            Field("hours", BusinessHours(), "Business hours in `timezone`.", '{mon-fri: "09:00-17:00"}', "always"),
            Field("holidays", ListOf(Day(), most=1000), "Days without business hours.", "[2026-12-25]", "none"),
        ),
        frame="sla: @",
        base="accept_within: 2h",
    ),
    Construct(
        "accounts",
        "When a whole account qualifies.",
        (
            Field("people", Object("people"), "So many leads of the account.", "{at_least: 3, engagement: 20}", "any"),
            Field(
                "threshold",
                Object("account_threshold"),
                "Over the leads' totals; all given ones.",
                "{sum: 150, best: 60}",
                "none",
                beside="",
            ),
            Field("rearm", Object("rearm"), "When it cools down.", "{below: 100, cooldown: 30d}", "never"),
        ),
        frame="accounts: @",
        base="threshold: {sum: 150}",
        at_least_one=("people", "threshold"),
    ),
    Construct(
        "people",
        "So many leads at or above an engagement.",
        (
            Field("at_least", Integer(1, 10_000), "So many leads.", "3", required=True, beside=""),
            Field("engagement", SCORE, "Each at or above.", "20", "any"),
        ),
        frame="accounts: {people: @}",
        base="at_least: 3",
    ),
    Construct(
        "account_threshold",
        "Over the totals of an account's leads.",
        (
            Field("sum", SCORE, "Of all of them.", "150", "any", beside=""),
            Field("best", SCORE, "Of the highest.", "60", "any"),
        ),
        frame="accounts: {threshold: @}",
        at_least_one=("sum", "best"),
        base="sum: 150",
    ),
)

_TEST_BASE = "name: a, start: '2026-11-02T09:00:00Z', expect: [{at: 1h, total: 0}]"
_AT = Duration(least_ms=0)
_BODY = MapOf(Text("the name of a field"), Json(), most=200)
TESTS = (
    Construct(
        "test",
        "A lead's history and what it must come to; `mqlstream test` runs it.",
        (
            Field(
                "name",
                Text(),
                "What it shows.",
                "a visit alone is not enough",
                required=True,
                beside="start: '2026-11-02T09:00:00Z', expect: [{at: 1h, total: 0}]",
            ),
            Field(
                "start",
                Instant(),
                "What `at` counts from.",
                "2026-11-02T09:00:00Z",
                required=True,
                beside="name: a, expect: [{at: 1h, total: 0}]",
            ),
            Field(
                "lead",
                MapOf(Text("the name of an attribute"), Json()),
                "The lead's attributes.",
                "{title: VP Marketing, company_size: 800}",
                "none",
            ),
            Field(
                "events",
                ListOf(Object("test_event"), most=10_000),
                "What happens, in any order.",
                "[{at: 1h, form_fill: {form: demo}}]",
                "none",
            ),
            Field(
                "expect",
                ListOf(Object("expectation"), least=1),
                "What must then be so.",
                "[{at: 1h, total: 0}]",
                required=True,
                beside="name: a, start: '2026-11-02T09:00:00Z'",
            ),
        ),
        frame="tests: [@]",
        base=_TEST_BASE,
    ),
    Construct(
        "test_event",
        "What happens at a moment: `at` and one kind of event with its fields.",
        (
            Field("at", _AT, "After `start`.", "1h", required=True, beside="form_fill: {form: demo}"),
            *(Field(kind, _BODY, f"`{kind}` with these fields.", "{}", beside="at: 1h") for kind in KINDS),
        ),
        frame="tests: [{name: a, start: '2026-11-02T09:00:00Z', events: [@], expect: [{at: 1h, total: 0}]}]",
        base="at: 1h, form_fill: {form: demo}",
        exactly_one=(KINDS,),
    ),
    Construct(
        "expectation",
        "What must be so at a moment; a dimension's name may be a key too. Values are compared to 2 decimals.",
        (
            Field("at", _AT, "After `start`.", "30m", required=True, beside="total: 0"),
            Field("total", SCORE, "The sum of the dimensions.", "49.97", beside="at: 1h"),
            Field("stage", Choice(STAGES), "The lead's stage.", "mql", beside="at: 1h"),
            Field("cycle", Integer(0, 1_000_000), "How often it has become an MQL.", "1", beside="at: 1h"),
            Field("grade", Text(empty=True), "The lead's cell.", "A1", beside="at: 1h"),
            Field("contributions", MapOf(Ref("entry"), SCORE), "Points per rule.", "{}", beside="at: 1h"),
        ),
        frame="tests: [{name: a, start: '2026-11-02T09:00:00Z', expect: [@]}]",
        base="at: 1h, total: 0",
        others=MapOf(Ref("dimension"), SCORE),
    ),
)
