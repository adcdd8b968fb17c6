"""Who a lead is: fit, inactivity, conditions on attributes."""

from __future__ import annotations

from mqlstream.definition.fields.shared import ID, KINDS_OF_ACTIVITY, LABEL
from mqlstream.definition.types import HOUR_MS, Construct, Duration, Field, ListOf, Number, Object, Ref, Text, Where

_FIT_FRAME = "groups: {person: {dimension: fit}}\nfit: [@]"
LEAD = (
    Construct(
        "fit",
        "Points for who a lead is; looked at afresh whenever an attribute changes.",
        (
            Field(
                "id", ID, "Unique within the file.", "company-size", required=True, beside="where: {company_size: {gte: 200}}, points: 20"
            ),
            Field(
                "where",
                Where("lead"),
                "What the lead's attributes must be.",
                "{company_size: {gte: 200, lt: 5000}}",
                "any lead",
                beside="id: a, points: 5",
            ),
            Field("points", Number(), "What it gives.", "20", beside="id: a, where: {country: DE}"),
            Field(
                "one_of",
                ListOf(Object("fit_case"), least=1, most=200),
                "The first that holds gives the points.",
                "[{where: {title: {words_any: [vp]}}, points: 15}]",
                beside="id: a",
            ),
            Field(
                "points_from",
                Object("points_from"),
                "Takes the points from an attribute.",
                "{field: review_points, min: 0, max: 30}",
                beside="id: a",
            ),
            Field("weight", Number(), "Multiplies the points.", "0.5", "1"),
            Field("dimension", Ref("dimension"), "Where the points go.", "engagement", "the group's, else fit"),
            Field("group", Ref("group"), "Shares the group's floor and cap.", "person", "none"),
            Field("label", LABEL, "What sales reads.", "Right size of company", "the id"),
            Field("intent", Text(), "A free tag.", "mofu", "none"),
        ),
        frame=_FIT_FRAME,
        base="id: a, where: {country: DE}, points: 5",
        exactly_one=(("points", "one_of", "points_from"),),
        apart={"one_of": ("where",)},
    ),
    Construct(
        "fit_case",
        "One of several cases of a fit entry.",
        (
            Field("where", Where("lead"), "What the lead's attributes must be.", "{title: {words_any: [director, head of]}}", "any lead"),
            Field("points", Number(), "What it gives.", "10", required=True, beside="where: {country: DE}"),
        ),
        frame="fit: [{id: a, one_of: [@]}]",
        base="points: 10",
    ),
    Construct(
        "inactivity",
        "Points for a gap between activities.",
        (
            Field("id", ID, "Unique within the file.", "idle", required=True, beside="after: 30d, points: -10"),
            Field("after", Duration(), "How long the gap must be.", "30d", required=True, beside="id: a, points: -10"),
            Field("every", Duration(HOUR_MS), "Once more for each of these beyond it; at least 1h.", "30d", "once per gap"),
            Field("points", Number(), "What it gives.", "-10", required=True, beside="id: a, after: 30d"),
            Field("on", KINDS_OF_ACTIVITY, "Which kinds of activity end a gap.", "[email_click]", "all"),
            Field("where", Where("event"), "Which of them.", "{action: open}", "all"),
            Field("unless", Where("moment"), "Not when this holds of the lead at that moment.", "{lead.age: {lt: 60d}}", "always"),
            Field("dimension", Ref("dimension"), "Where the points go.", "fit", "the group's, else engagement"),
            Field("group", Ref("group"), "Shares the group's floor and cap.", "web", "none"),
            Field("label", LABEL, "What sales reads.", "Silent for a month", "the id"),
        ),
        frame="groups: {web: {dimension: engagement}}\ninactivity: [@]",
        base="id: a, after: 30d, points: -10",
    ),
    Construct(
        "condition",
        "A named condition on the lead's attributes.",
        (
            Field("id", ID, "Unique within the file.", "competitor", required=True, beside="where: {email_domain: rival.example}"),
            Field("where", Where("lead"), "What the lead's attributes must be.", "{customer: true}", required=True, beside="id: a"),
        ),
        frame="disqualify: [@]",
        base="id: a, where: {customer: true}",
    ),
)
