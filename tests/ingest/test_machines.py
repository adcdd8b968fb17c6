"""What gives a machine away, and that it does not depend on what arrives first."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqlstream.core.event import DAY_MS, Event
from mqlstream.ingest.canonical import canonical
from mqlstream.ingest.machines import CLICKS_MAX, DELIVERIES_MAX, Rules, Watched, is_crawler, judge, look, rules_of
from mqlstream.ingest.results import IngestOptions
from tests.bench.machines import figures, measure

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
    ],
)
def test_clicks_are_judged_alike_in_whatever_order_they_arrive(events: list[Event], expected: dict[int, str]):
    assert caught(*events) == caught(*reversed(events)) == expected


def test_a_source_can_have_timings_of_its_own():
    rules = Rules(sources={"mailer": rules_of("burst_ms:0 after_delivery_ms:60000", RULES)})
    assert caught(email(0), email(1, "2"), delivered(0, "m3"), email(59_999, message="m3"), rules=rules) == {59_999: "after_delivery"}
    assert rules.of("mailer").honeypots == ("/trap",)
    for wrong in ("burst:1", "burst_ms", "burst_ms:-1", "burst_ms:1.5", "honeypots:x", f"burst_ms:{DAY_MS + 1}"):
        with pytest.raises(ValueError, match=f"got '{wrong}', expected burst_ms:MILLISECONDS or after_delivery_ms:MILLISECONDS"):
            rules_of(wrong, RULES)


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


def test_nearly_all_scanners_are_found_and_hardly_a_person_is_taken_for_one():
    precision, recall = figures(*measure(Rules(), messages=3_000)[:2])
    assert precision > 0.98
    assert recall > 0.97


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
