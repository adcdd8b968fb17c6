"""What a sound file becomes: the records of the model, with defaults filled in and references resolved."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from mqlstream.definition import model
from mqlstream.definition.parse import parse_text

HEAD = "definition: example\nversion: 3\n"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def read(text: str, directory: Path | None = None) -> model.Definition:
    definition, findings = parse_text(HEAD + text, "f", directory=directory, not_yet=frozenset())
    assert definition is not None, [str(one) for one in findings]
    return definition


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def test_a_file_of_two_lines_has_all_defaults() -> None:
    definition = read("")
    assert definition == model.Definition(
        id="example", version=3, digest=definition.digest, dimensions={"engagement": model.Bounds(), "fit": model.Bounds()}
    )


def test_the_head_is_read_in_the_units_of_the_model() -> None:
    definition = read(
        "timezone: Europe/Berlin\nhorizon: 90d\nbounds: {ledger: 50}\nactive: {from: 2026-07-01, until: 2026-11-01}\n"
        "owners: [a]\nreview_by: 2027-01-31\non_activate: {handoff: all}\nmode: shadow\n"
    )
    assert (definition.horizon_days, definition.per_day, definition.ledger) == (90, 100, 50)
    assert definition.active_from_ms == ms("2026-07-01T00:00:00+02:00")
    assert definition.active_until_ms == ms("2026-11-01T00:00:00+01:00")
    assert (definition.owners, definition.review_by, definition.on_activate, definition.mode) == (("a",), "2027-01-31", "all", "shadow")


def test_dimensions_keep_their_order_and_total_stands_apart() -> None:
    definition = read("dimensions: {loyalty: {cap: 5}, total: {cap: 9, floor: -1}, fit: {floor: -2.5}}\n")
    assert list(definition.dimensions.items()) == [
        ("loyalty", model.Bounds(None, 5)),
        ("fit", model.Bounds(-2.5, None)),
        ("engagement", model.Bounds()),
    ]
    assert definition.total == model.Bounds(-1, 9)


def test_a_rule_takes_the_dimension_of_its_group_and_its_id_as_label() -> None:
    rule = read("groups: {g: {dimension: fit}}\nrules: [{id: a, on: form_fill, points: 5, group: g}]\n").rules[0]
    assert rule == model.Rule("a", ("form_fill",), "a", "fit", points=5, group="g")


def test_limits_decays_counts_and_tiers() -> None:
    rules = read(
        "rules:\n"
        "  - {id: a, on: web_visit, points: 1, limit: {count: 2, per: 7d, by: path}, decay: {half_life: 14d}}\n"
        "  - {id: b, on: web_visit, points: 2, limit: {count: 1, per: month}, decay: {linear: 12h}}\n"
        "  - {id: c, on: web_visit, points: 3, count: {at_least: 3, within: 15m, by: session_id, distinct: path}}\n"
        "  - {id: d, on: web_visit, tiers: [{count: {exactly: 0}, within: 30s, points: -1}], weight: 0.5}\n"
        "  - {id: e, on: activity, points_from: {field: properties.n, min: -1, max: 2.5}, cap: 7, floor: -7, machine: true}\n"
        "  - {id: f, on: email_click, set: {engagement: 0, fit: -3}}\n"
    ).rules
    assert rules[0].limit == model.Limit(2, per_ms=7 * DAY_MS, by="path")
    assert rules[0].decay == model.Decay("half_life", 14 * DAY_MS)
    assert rules[1].limit == model.Limit(1, calendar="month")
    assert rules[1].decay == model.Decay("linear", 12 * HOUR_MS)
    assert rules[2].count == model.Count(3, 900_000, "session_id", "path")
    assert (rules[3].tiers, rules[3].weight, rules[3].points) == ((model.Tier(-1, 30_000, None, 0),), 0.5, None)
    assert rules[4].points_from == model.PointsFrom("properties.n", -1, 2.5)
    assert (rules[4].bounds, rules[4].machine) == (model.Bounds(-7, 7), True)
    assert rules[5].set == {"engagement": 0, "fit": -3}


def test_every_top_level_entry_of_where_is_one_item() -> None:
    where = (
        read(
            "lists: {l: [x, 2]}\n"
            "rules:\n"
            "  - id: a\n"
            "    on: form_fill\n"
            "    points: 1\n"
            "    where:\n"
            "      form: demo\n"
            "      url: [a, true]\n"
            "      fields.a: {gte: 1, lt: 2.5}\n"
            "      fields.b: {in: $l}\n"
            "      fields.c: {prefix: a}\n"
            "      lead.age: {lt: 2d}\n"
            "      any: [{form: a, url: b}, {not: {form: c}}]\n"
        )
        .rules[0]
        .where
    )
    test = model.Test
    assert where == model.All(
        (
            test("form", "eq", "demo"),
            test("url", "in", ("a", True)),
            model.All((test("fields.a", "gte", 1), test("fields.a", "lt", 2.5))),
            test("fields.b", "in", ("x", 2)),
            test("fields.c", "prefix", ("a",)),
            test("lead.age", "lt", 2 * DAY_MS),
            model.Any_((model.All((test("form", "eq", "a"), test("url", "eq", "b"))), model.Not(test("form", "eq", "c")))),
        )
    )


def test_fit_has_cases_whether_it_says_one_of_or_not() -> None:
    fit = read(
        "fit:\n"
        "  - {id: a, where: {country: DE}, points: 5, weight: 0.5}\n"
        "  - {id: b, one_of: [{where: {country: DE}, points: 5}, {points: 1}], dimension: engagement, label: B}\n"
        "  - {id: c, where: {country: DE}, points_from: {field: p, min: 0, max: 1}}\n"
    ).fit
    germany = model.All((model.Test("country", "eq", "DE"),))
    assert fit[0] == model.Fit("a", "a", (model.FitCase(germany, 5),), weight=0.5)
    assert fit[1] == model.Fit("b", "B", (model.FitCase(germany, 5), model.FitCase(model.ALWAYS, 1)), dimension="engagement")
    assert fit[2] == model.Fit("c", "c", (), points_from=model.PointsFrom("p", 0, 1), where=germany)


def test_a_threshold_is_kept_and_is_a_condition_too() -> None:
    qualify = read("rules: [{id: r, on: form_fill, points: 1}]\nqualify: {threshold: {total: 100, fit: 20}, fast_track: [r]}\n").qualify
    assert qualify.threshold == {"total": 100, "fit": 20}
    assert qualify.when == model.WhenAll((model.ScoreIs("total", "gte", 100), model.ScoreIs("fit", "gte", 20)))
    assert (qualify.fast_track, qualify.rearm, qualify.recycle) == (("r",), None, None)


def test_a_fast_track_alone_has_no_condition() -> None:
    qualify = read("rules: [{id: r, on: form_fill, points: 1}]\nqualify: {fast_track: [r]}\n").qualify
    assert (qualify.when, qualify.fast_track) == (None, ("r",))


def test_the_general_form() -> None:
    qualify = read(
        "grades: {fit: {B: null, A: 50}}\n"
        "rules: [{id: r, on: form_fill, points: 1}]\n"
        "qualify:\n"
        "  when:\n"
        "    any:\n"
        "      - all: [{score: total, gte: 10, lt: 20}, {cell: {in: [A, B]}}]\n"
        "      - not: {where: {customer: true}}\n"
        "      - rule: r\n"
        "  rearm: {below: 5}\n"
        "  recycle: {set: {fit: 0}, cooldown: 1d}\n"
    ).qualify
    score = model.WhenAll((model.ScoreIs("total", "gte", 10), model.ScoreIs("total", "lt", 20)))
    customer = model.LeadIs(model.All((model.Test("customer", "eq", True),)))
    assert qualify.when == model.WhenAny(
        (model.WhenAll((score, model.CellIn(("A", "B")))), model.WhenNot(customer), model.RuleAwarded("r"))
    )
    assert qualify.rearm == model.Rearm(5, 0)
    assert qualify.recycle == model.Recycle({"fit": 0}, DAY_MS)


def test_grades_are_ordered_from_the_highest() -> None:
    assert read("grades: {fit: {D: null, B: 30, A: 50, C: -10}, total: {'1': 5}}\n").grades == {
        "fit": (("A", 50), ("B", 30), ("C", -10), ("D", None)),
        "total": (("1", 5),),
    }


def test_business_hours_are_minutes_of_weekdays_in_order() -> None:
    sla = read(
        'sla: {accept_within: 2h, hours: {sat-mon: "09:00-24:00", fri: ["13:00-14:30", "08:00-09:00"]}, holidays: [2026-12-25]}\n'
    ).sla
    assert sla is not None
    assert sla.accept_within_ms == 2 * HOUR_MS
    assert [(one.weekday, one.from_minute, one.until_minute) for one in sla.hours] == [
        (0, 540, 1440),
        (4, 480, 540),
        (4, 780, 870),
        (5, 540, 1440),
        (6, 540, 1440),
    ]
    assert sla.holidays == ("2026-12-25",)


def test_inactivity_accounts_and_conditions() -> None:
    definition = read(
        "inactivity: [{id: i, after: 30d, every: 1h, points: -1, on: email_click, where: {action: open}, unless: {lead.age: {lt: 60d}}}]\n"
        "accounts: {people: {at_least: 3}, threshold: {best: 60}, rearm: {below: 5, cooldown: 1d}}\n"
        "freeze: [{id: f, where: {held: true}}]\n"
    )
    assert definition.inactivity[0] == model.Inactivity(
        "i",
        "i",
        30 * DAY_MS,
        -1,
        HOUR_MS,
        on=("email_click",),
        where=model.All((model.Test("action", "eq", "open"),)),
        unless=model.All((model.Test("lead.age", "lt", 60 * DAY_MS),)),
    )
    assert definition.accounts == model.Accounts(3, None, None, 60, model.Rearm(5, DAY_MS))
    assert definition.freeze == (model.Condition("f", model.All((model.Test("held", "eq", True),))),)


def test_a_test_has_events_and_expectations_at_their_times() -> None:
    case = read(
        "tests:\n"
        "  - name: a\n"
        "    start: 2026-11-02T09:00:00Z\n"
        "    lead: {title: VP}\n"
        "    events:\n"
        "      - {at: 0h, web_visit: {path: /a}}\n"
        "      - {at: 1h, form_fill: {form: demo, id: mine, fields: {a: [1]}}}\n"
        "    expect: [{at: 30m, total: 5, contributions: {}}]\n"
    ).tests[0]
    start = ms("2026-11-02T09:00:00+00:00")
    assert (case.name, case.start_ms, case.lead, case.line) == ("a", start, {"title": "VP"}, 4)
    assert case.events == (
        (start, {"id": "event-00001", "source": "test", "kind": "web_visit", "time": start, "path": "/a"}),
        (
            start + HOUR_MS,
            {"id": "mine", "source": "test", "kind": "form_fill", "time": start + HOUR_MS, "form": "demo", "fields": {"a": [1]}},
        ),
    )
    assert case.expect == ((start + HOUR_MS // 2, {"total": 5, "contributions": {}}),)


def test_a_list_file_has_a_member_a_line_and_comments(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "rivals.txt").write_text(
        "\ufeff# rivals\nrival.example   # the oldest\n\nc#.example\n  two words \n12\n", "utf-8"
    )
    definition = read("lists: {r: {file: lists/rivals.txt}}\ndisqualify: [{id: a, where: {company: {in: $r}}}]\n", tmp_path)
    assert definition.disqualify[0].where == model.All((model.Test("company", "in", ("rival.example", "c#.example", "two words", "12")),))


def test_the_digest_is_of_the_content() -> None:
    base = read("lists: {l: [a, b]}\nhorizon: 5d\n").digest
    assert len(base) == 64
    assert read("# another comment\nhorizon: 5d\n\nlists:\n  l:\n  - a\n  - 'b'\n").digest == base
    assert read("lists: {l: [b, a]}\nhorizon: 5d\n").digest != base
    assert read("lists: {l: [a, b]}\nhorizon: 6d\n").digest != base


def test_the_digest_of_a_list_file_is_that_of_its_members(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("a\nb # second\n")
    assert read("lists: {l: {file: l.txt}}\n", tmp_path).digest == read("lists: {l: [a, b]}\n").digest
    (tmp_path / "l.txt").write_text("a\nc\n")
    assert read("lists: {l: {file: l.txt}}\n", tmp_path).digest != read("lists: {l: [a, b]}\n").digest


def test_the_order_of_grades_is_content() -> None:
    one = read("grades: {fit: {A: 5}, total: {B: 5}}\n").digest
    assert read("grades: {total: {B: 5}, fit: {A: 5}}\n").digest != one
