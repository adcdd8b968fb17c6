"""The file itself and its plain parts: bounds, active days, dimensions, groups."""

from __future__ import annotations

from mqlstream.definition.fields.shared import CAP, DEFINITION_ID, FLOOR, GRADE, LIST_NAME, SCORE
from mqlstream.definition.types import (
    DAY_MS,
    Choice,
    Construct,
    Day,
    Duration,
    Field,
    Integer,
    ListOf,
    Lists,
    MapOf,
    Nullable,
    Object,
    Ref,
    Text,
    Zone,
)

HEAD = (
    Construct(
        "definition",
        "One file: what makes a lead an MQL.",
        (
            Field("definition", DEFINITION_ID, "Names the model.", "b2b-saas", required=True, beside="version: 1"),
            Field(
                "version", Integer(1, 2**31 - 1), "Rises whenever the content changes.", "7", required=True, beside="definition: example"
            ),
            Field(
                "description",
                Text("text", longest=10_000, empty=True),
                "What was agreed, for people.",
                "Agreed in the October review.",
                "empty",
            ),
            Field("owners", ListOf(Text(), most=100), "Who answers for it.", "[marketing-ops@acme.example]", "none"),
            Field("review_by", Day(), "A warning is given once this day has passed.", "2027-01-31", "never"),
            Field("timezone", Zone(), "For calendar limits, `active` and business hours.", "Europe/Berlin", "UTC"),
            Field("horizon", Duration(DAY_MS, 3650 * DAY_MS, DAY_MS), "For how many whole days an event counts.", "400d", "400d"),
            Field("bounds", Object("bounds"), "How many events of one lead can count.", "{per_day: 100, ledger: 1000}", "these"),
            Field("mode", Choice(("live", "shadow")), "`shadow`: scored and measured, never handed off.", "shadow", "live"),
            Field("active", Object("active"), "When leads are handed off.", "{from: 2026-11-01, until: 2027-12-31}", "always"),
            Field("lists", Lists(), "Named lists, used as `$name`.", "{competitors: [rival.example]}", "none"),
            Field(
                "dimensions",
                MapOf(LIST_NAME, Object("dimension"), most=50),
                "The scores; `total` is their sum.",
                "{engagement: {cap: 300}}",
                "engagement, fit",
            ),
            Field(
                "groups",
                MapOf(LIST_NAME, Object("group"), most=200),
                "Rules that share a floor and a cap.",
                "{web: {dimension: engagement, cap: 60}}",
                "none",
            ),
            Field("rules", ListOf(Object("rule")), "Points for what a lead does.", "[{id: demo, on: form_fill, points: 40}]", "none"),
            Field(
                "fit",
                ListOf(Object("fit")),
                "Points for who a lead is.",
                "[{id: big, where: {company_size: {gte: 500}}, points: 20}]",
                "none",
            ),
            Field(
                "inactivity", ListOf(Object("inactivity"), most=100), "Points for silence.", "[{id: idle, after: 30d, points: -10}]", "none"
            ),
            Field(
                "grades",
                MapOf(Ref("score"), MapOf(GRADE, Nullable(SCORE), least=1, most=50), least=1, most=50),
                "Grades of scores; together they make a cell.",
                "{fit: {A: 50, B: null}}",
                "none",
            ),
            Field(
                "disqualify",
                ListOf(Object("condition"), most=200),
                "Who is never an MQL.",
                "[{id: student, where: {title: {words_any: [student]}}}]",
                "none",
            ),
            Field(
                "freeze",
                ListOf(Object("condition"), most=200),
                "Who is scored, but not handed off while it holds.",
                "[{id: partner-held, where: {partner_status: held}}]",
                "none",
            ),
            Field("qualify", Object("qualify"), "What makes an MQL.", "{threshold: {total: 100}}", "nothing does"),
            Field("sla", Object("sla"), "How soon sales answers.", "{accept_within: 2h}", "none"),
            Field(
                "on_activate",
                Object("on_activate"),
                "Who is handed off when a new version alone makes an MQL.",
                "{handoff: none}",
                "{handoff: none}",
            ),
            Field("accounts", Object("accounts"), "When a whole account qualifies.", "{threshold: {sum: 150}}", "never"),
            Field(
                "tests",
                ListOf(Object("test")),
                "Histories and what they must come to.",
                "[{name: nothing, start: '2026-11-02T09:00:00Z', expect: [{at: 1h, total: 0}]}]",
                "none",
            ),
        ),
        base="definition: example, version: 1",
    ),
    Construct(
        "bounds",
        "Keeps a runaway sender from filling a lead's state.",
        (
            Field("per_day", Integer(1, 1000), "Events per lead, kind and UTC day that count: the first.", "100", "100"),
            Field("ledger", Integer(1, 10_000), "Events per lead that count: the newest.", "1000", "1000"),
        ),
        frame="bounds: @",
    ),
    Construct(
        "active",
        "Days in `timezone`; outside, leads are scored and not handed off.",
        (
            Field("from", Day(), "The first day, from midnight.", "2026-11-01", "always", beside=""),
            Field("until", Day(), "The first day that is outside again.", "2027-12-31", "always"),
        ),
        frame="active: @",
        base="from: 2026-11-01",
        at_least_one=("from", "until"),
    ),
    Construct(
        "dimension",
        "A score of its own, clipped to floor and cap.",
        (Field("floor", FLOOR, "Never below.", "-50", "none"), Field("cap", CAP, "Never above.", "300", "none")),
        frame="dimensions: {engagement: @}",
    ),
    Construct(
        "group",
        "Contributions summed and clipped together, before their dimension.",
        (
            Field("dimension", Ref("dimension"), "Where the sum goes.", "engagement", required=True, beside=""),
            Field("floor", FLOOR, "Never below.", "-20", "none"),
            Field("cap", CAP, "Never above.", "60", "none"),
        ),
        frame="groups: {web: @}",
        base="dimension: engagement",
    ),
    Construct(
        "on_activate",
        "A new version can lift many leads over the threshold at once.",
        (Field("handoff", Choice(("none", "new", "all")), "Who of them is handed off.", "new", required=True, beside=""),),
        frame="on_activate: @",
        base="handoff: none",
    ),
)
