"""What gives a machine away, and that it does not depend on what arrives first."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqlstream.core.event import DAY_MS, Event
from mqlstream.ingest.canonical import canonical
from mqlstream.ingest.machines import CLICKS_MAX, DELIVERIES_MAX, Rules, Watched, is_crawler, judge, look, rules_of
from mqlstream.ingest.results import IngestOptions
from mqlstream.ingest.unvisited import Waiting, due_ms, look_for_visits
from tests.bench.machines import VISIT_MS, figures, measure

START = 1_793_610_000_000
RULES = Rules(honeypots=("/trap",))


def email(after_ms: int, url: str = "https://a.example/1", message: str = "m1", action: str = "click", **more: Any) -> Event:
    body = {"action": action, "message_id": message} | ({"url": url} if action == "click" else {})
    return Event("mailer", f"{action} {message} {after_ms} {url}", "email_click", START + after_ms, "ann", body, **more)


def delivered(after_ms: int, message: str = "m1") -> Event:
    return email(after_ms, message=message, action="delivered")


def caught(*events: Event, rules: Rules = RULES) -> dict[int, str]:
    """By the time of the click: why it is a machine's, after all events have arrived as they stand."""
    watched = Watched()
    found: dict[int, str] = {}
    for event in events:
        for verdict in judge(watched, event, rules):
            assert verdict.click.time - START not in found, "told once"
            found[verdict.click.time - START] = verdict.reason
    return found


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([email(0), email(2_000, "2")], {0: "burst", 2_000: "burst"}),
        ([email(0), email(2_001, "2")], {}),
        ([email(0), email(500)], {}),
        ([email(0), email(500), email(900, "2")], {0: "burst", 500: "burst", 900: "burst"}),
        ([email(0), email(500, "2", message="m2")], {}),
        ([email(0, ""), email(500, "2")], {}),
        ([delivered(0), email(4_999)], {4_999: "after_delivery"}),
        ([delivered(0), email(5_000)], {}),
        ([email(-60_000), email(-60_001, "2", message="m1"), delivered(0)], {-60_000: "burst", -60_001: "burst"}),
        ([email(-60_000), delivered(0)], {-60_000: "after_delivery"}),
        ([email(-60_001), delivered(0)], {}),
        ([delivered(0, "m2"), email(100)], {}),
        ([email(0), email(60_000, "https://a.example/trap?x")], {0: "honeypot", 60_000: "honeypot"}),
        ([email(0), email(60_001, "https://a.example/trap?x")], {60_001: "honeypot"}),
        ([email(0, action="open"), email(10, "2")], {}),
        ([email(0), email(9_000, "2"), email(20_000, "3")], {}),
        ([delivered(0), email(59_999)], {}),
        ([delivered(0), email(59_999), email(69_999, "2")], {59_999: "near+soon"}),
        ([delivered(0), email(60_000), email(70_000, "2")], {}),
        ([delivered(0), email(59_999), email(70_000, "2")], {}),
    ],
)
def test_clicks_are_judged_alike_in_whatever_order_they_arrive(events: list[Event], expected: dict[int, str]):
    assert caught(*events) == caught(*reversed(events)) == expected


def test_a_source_can_have_timings_of_its_own():
    rules = Rules(sources={"mailer": rules_of("burst_ms:0 after_delivery_ms:60000", RULES)})
    assert caught(email(0), email(1, "2"), delivered(0, "m3"), email(59_999, message="m3"), rules=rules) == {59_999: "after_delivery"}
    assert rules.of("mailer").honeypots == ("/trap",)
    assert rules_of("near_ms:1 soon_ms:2 visit_ms:3", RULES).of("x") == replace(RULES, near_ms=1, soon_ms=2, visit_ms=3)
    for wrong in ("burst:1", "honeypots:x"):
        with pytest.raises(
            ValueError, match=f"got '{wrong}', expected NAME:MILLISECONDS with a name of burst_ms after_delivery_ms near_ms"
        ):
            rules_of(wrong, RULES)
    for wrong in ("burst_ms", "burst_ms:-1", "burst_ms:1.5", f"burst_ms:{DAY_MS + 1}"):
        with pytest.raises(ValueError, match=f"got '{wrong}', expected burst_ms:MILLISECONDS, at most {DAY_MS}"):
            rules_of(wrong, RULES)
    with pytest.raises(ValueError, match="expected visit_ms:MILLISECONDS, at most 43200000"):
        rules_of("visit_ms:43200001", RULES)


def test_an_event_that_comes_again_is_marked_again_and_tells_nothing_new():
    watched = Watched()
    first, second = email(0), email(100, "2")
    assert look(watched, first, RULES) == (first, [])
    marked, commands = look(watched, second, RULES)
    assert marked.machine
    (command,) = commands
    assert (command.kind, command.lead, command.time) == ("command", "ann", second.time)
    assert command.body == {
        "do": "machine_verdict",
        "event_source": first.source,
        "event_id": first.id,
        "reason": "burst",
        "by": "mqlstream",
    }
    assert look(watched, second, RULES) == (marked, [])
    assert [look(watched, each, RULES)[0].machine for each in (first, second)] == [True, True]


def test_a_click_that_its_provider_calls_a_machine_needs_no_verdict():
    assert caught(email(0, machine=True), email(100, "2")) == {100: "burst"}


def test_what_is_remembered_is_bounded_and_a_day_long():
    watched = Watched()
    for number in range(500):
        judge(watched, email(number * 10_000, str(number)), RULES)
        judge(watched, delivered(number * 10_000 + 7_000, f"m{number}"), RULES)
    assert (len(watched.clicks), len(watched.deliveries)) == (CLICKS_MAX, DELIVERIES_MAX)
    judge(watched, email(2 * DAY_MS + 500_000), RULES)
    assert (len(watched.clicks), watched.deliveries) == (1, [])


@given(
    st.lists(st.tuples(st.integers(0, 12_000), st.sampled_from(["1", "2", "/trap", ""]), st.sampled_from(["m1", "m2"])), max_size=12),
    st.lists(st.tuples(st.integers(0, 12_000), st.sampled_from(["m1", "m2"])), max_size=3),
    st.randoms(use_true_random=False),
)
def test_verdicts_are_a_function_of_the_set_of_events(
    clicks: list[tuple[int, str, str]], deliveries: list[tuple[int, str]], rng: random.Random
):
    events = [email(time * 10, url, message) for time, url, message in clicks] + [
        delivered(time * 10, message) for time, message in deliveries
    ]

    def machines(order: list[Event]) -> set[str]:
        watched = Watched()
        return {verdict.click.id for event in order for verdict in judge(watched, event, RULES)}

    expected = machines(events)
    assert machines(rng.sample(events, len(events))) == expected
    assert machines(rng.choices(events, k=20) + events if events else []) == expected


WAITING = Rules(visit_ms=60_000)
SOON = [delivered(0), email(30_000)]  # one weak sign


def watched_after(*events: Event, rules: Rules = WAITING) -> Watched:
    watched = Watched()
    for event in events:
        judge(watched, event, rules)
    return watched


def unvisited(watched: Watched, until_ms: int, visits: Sequence[int] | None, rules: Rules = WAITING) -> dict[str, tuple[int, str]]:
    """By the id of the click: when its verdict is for, and why."""
    times = None if visits is None else [START + visit for visit in visits]
    commands = look_for_visits(watched, "ann", START + until_ms, times, rules)
    return {command.body["event_id"]: (command.time - START, command.body["reason"]) for command in commands}


@pytest.mark.parametrize(
    ("visits", "found"),
    [
        ([], {SOON[1].id: (90_000, "soon+unvisited")}),
        ([30_000], {}),
        ([89_999], {}),
        ([90_000], {SOON[1].id: (90_000, "soon+unvisited")}),
        ([-30_000], {}),
        ([-30_001], {SOON[1].id: (90_000, "soon+unvisited")}),
        (None, {}),
    ],
)
def test_a_click_without_a_later_visit_is_a_machines_when_it_has_another_weak_sign(
    visits: Sequence[int] | None, found: dict[str, tuple[int, str]]
):
    watched = watched_after(*SOON)
    assert due_ms(watched, WAITING) == START + 90_000
    assert unvisited(watched, 89_999, visits) == {}, "not before its time is over"
    assert unvisited(watched, 90_000, visits) == found
    assert due_ms(watched, WAITING) is None
    assert unvisited(watched, DAY_MS, []) == {}, "told once"


def test_that_no_visit_follows_is_nothing_by_itself_and_is_not_even_asked():
    alone = watched_after(email(0), delivered(-60_000 - DAY_MS // 2))
    assert due_ms(alone, WAITING) is None
    assert unvisited(alone, DAY_MS, []) == {}
    off = watched_after(*SOON, rules=Rules())
    assert due_ms(off, Rules()) is None
    assert unvisited(off, DAY_MS, [], Rules()) == {}


def test_each_click_waits_for_a_visit_of_its_own_by_the_rules_of_its_source():
    rules = Rules(sources={"mailer": rules_of("visit_ms:1000 soon_ms:0 near_ms:5000", Rules())})
    watched = watched_after(email(0), email(5_000, "2"), rules=rules)
    assert due_ms(watched, rules) == START + 1_000
    assert unvisited(watched, 1_000, [500], rules) == {}
    assert due_ms(watched, rules) == START + 6_000
    assert list(unvisited(watched, 6_000, [-70_000], rules).values()) == [(6_000, "near+unvisited")]


def test_a_sign_that_comes_after_the_visit_was_missed_still_counts():
    watched = watched_after(*SOON)
    assert unvisited(watched, 90_000, [30_000]) == {}, "somebody came"
    assert [verdict.reason for verdict in judge(watched, email(35_000, "2"), WAITING)] == ["near+soon", "near+soon"]


def test_who_waits_is_looked_at_when_due_and_once():
    waiting = Waiting()
    waiting.note("bob", 20)
    waiting.note("ann", 10)
    waiting.note("ann", 30)
    waiting.note("eve", 5)
    waiting.note("eve", None)
    assert waiting.next_ms() == 20
    assert [waiting.pop(20), waiting.pop(20), waiting.next_ms(), waiting.pop(30), waiting.pop(99)] == ["bob", None, 30, "ann", None]


def test_nearly_all_scanners_are_found_and_hardly_a_person_is_taken_for_one():
    for rules in (Rules(), Rules(visit_ms=VISIT_MS)):
        precision, recall = figures(*measure(rules, messages=3_000)[:2])
        assert precision > 0.98
        assert recall > 0.98


HUMANS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (Linux; Android 13; CUBOT X70) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
    "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
    "",
)
MACHINES = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
    "Barracuda Sentinel (EE)",
    "python-requests/2.32.3",
    "curl/8.5.0",
    "Go-http-client/1.1",
)


def test_crawlers_are_known_by_their_user_agents_and_browsers_are_not_taken_for_them():
    assert [agent for agent in HUMANS if is_crawler(agent)] == []
    assert [agent for agent in MACHINES if not is_crawler(agent)] == []


def test_a_crawlers_visit_is_a_machines_unless_its_source_knows_better_and_a_form_never_is():
    def machine(kind: str = "web_visit", options: IngestOptions | None = None, **more: Any) -> bool:
        fields = {"id": "1", "time": START, "lead_id": "ann", "user_agent": MACHINES[0], **more}
        result = canonical(fields, kind=kind, options=options or IngestOptions())
        assert isinstance(result, Event)
        return result.machine

    assert machine()
    assert machine("activity", name="chat")
    assert machine("email_click", action="open")
    assert not machine(machine=False)
    assert not machine("form_fill", form="demo")
    assert not machine("profile", attributes={})
    assert not machine(user_agent=HUMANS[0])
    assert not machine("activity", name="chat", user_agent=7)
    assert not machine(options=IngestOptions(crawlers=False))
