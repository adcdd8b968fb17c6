"""Canonical events by example: what each kind becomes, and the exact words of every refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mqlstream.core.event import KINDS, LATEST_MS, Event
from mqlstream.core.outcome import Reason
from mqlstream.ingest.canonical import MAX_BYTES, MAX_DEPTH, canonical
from mqlstream.ingest.results import Anonymous, Ignored, IngestOptions, Rejected

NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z
EXPECTED_TIME = "expected epoch milliseconds or RFC 3339 with offset, in the years 2000 to 2100"
EXPECTED_KIND = "expected one of web_visit form_fill email_click webinar_attendance activity profile feedback command"


def read(kind: str | None = None, /, **fields: Any) -> Event | Anonymous | Ignored | Rejected:
    """The result for an object with the two fields that every event needs, and these."""
    record = {"id": "e1", "time": NOON, **({"kind": kind} if kind else {}), **fields}
    return canonical(json.dumps({name: value for name, value in record.items() if value is not ...}).encode())


def event(kind: str, /, **fields: Any) -> Event:
    result = read(kind, **{"lead_id": "lead-1", **fields})
    assert isinstance(result, Event), result
    return result


def refusal(kind: str | None, /, **fields: Any) -> tuple[str, str]:
    result = read(kind, **fields)
    assert isinstance(result, Rejected), result
    return result.reason.value, result.detail


def test_a_web_visit_keeps_its_fields_and_gets_those_of_its_url() -> None:
    got = event(
        "web_visit",
        source="web",
        url="https://shop@WWW.Acme.example:8443/Pricing/%20x?utm_source=ads&a=1&a=2&utm_term=a%20b+c#top",
        title="Pricing",
        duration_seconds=12.5,
        extra={"anything": [1]},
    )
    assert got == Event(
        source="web",
        id="e1",
        kind="web_visit",
        time=NOON,
        lead="lead-1",
        body={
            "url": "https://shop@WWW.Acme.example:8443/Pricing/%20x?utm_source=ads&a=1&a=2&utm_term=a%20b+c#top",
            "title": "Pricing",
            "duration_seconds": 12.5,
            "extra": {"anything": [1]},
            "host": "www.acme.example",
            "path": "/Pricing/%20x",
            "query": {"utm_source": "ads", "a": "2", "utm_term": "a b c"},
            "utm": {"source": "ads", "term": "a b c"},
        },
    )


def test_an_empty_url_has_the_path_of_a_page_without_one() -> None:
    for url in ("", "  ", "?", "https://acme.example"):
        assert event("web_visit", url=url).body["path"] == "/"
    assert event("web_visit", url=None).body == {"url": None}


def test_a_profile_brings_attributes_and_null_clears_one() -> None:
    got = event("profile", attributes={"title": "VP", "company_size": 800, "consent": None})
    assert got.attributes == {"title": "VP", "company_size": 800, "consent": None}
    assert got.body == {}


@pytest.mark.parametrize(
    ("told", "known"),
    [
        (" Bob@Rival.Example", {"email": "bob@rival.example"}),
        ("bob", {}),
        ("", {}),
        (7, {}),
        (["bob@rival.example"], {}),
        (None, {"email": None}),
    ],
)
def test_an_attribute_that_is_an_address_is_spelt_like_one_and_says_nothing_of_whose_it_is(told: Any, known: dict[str, Any]) -> None:
    got = event("profile", lead_id=None, email="Ann@acme.example", attributes={"email": told, "title": "VP"})
    assert (got.lead, got.email, got.attributes) == ("ann@acme.example", "ann@acme.example", {"title": "VP"} | known)
    filled = {"kind": "form_fill", "id": "f", "time": NOON, "lead_id": "l", "fields": {"mail": told}}
    form = canonical(filled, options=IngestOptions({"mail": "email"}))
    assert isinstance(form, Event)
    assert (form.lead, form.email, form.body["fields"]) == ("l", None, {"mail": told})
    assert (form.attributes or {}) == {name: value for name, value in known.items() if value is not None}
    assert isinstance(read("profile", attributes={"email": told}), Ignored)


def test_form_fields_become_attributes_only_where_the_configuration_maps_them() -> None:
    record = {"kind": "form_fill", "id": "f1", "time": NOON, "lead_id": "l", "form": "demo"}
    record["fields"] = {"job": "VP", "company": "", "phone": None, "seats": 3}
    options = IngestOptions({"job": "title", "company": "company", "phone": "phone", "seats": "seats", "other": "other"})
    mapped = canonical(record, options=options)
    plain = canonical(record)
    assert isinstance(mapped, Event)
    assert isinstance(plain, Event)
    assert mapped.attributes == {"title": "VP", "seats": 3}
    assert plain.attributes is None
    assert mapped.body["fields"] == {"job": "VP", "company": "", "phone": None, "seats": 3}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("email_click", {"action": "click", "campaign": "spring", "message_id": "m1", "url": "https://a.example/"}),
        ("email_click", {}),
        ("webinar_attendance", {"webinar": "w", "action": "watched_on_demand", "attended_seconds": 600}),
        ("activity", {"name": "chat", "properties": {"agent": None}}),
        ("feedback", {"handoff_id": "h1", "decision": "accepted", "by": "Kim"}),
        ("command", {"do": "erase"}),
        ("command", {"do": "merge", "into": "lead-2"}),
        ("command", {"do": "machine_verdict", "event_source": "mail", "event_id": "m1"}),
    ],
)
def test_every_kind_is_taken_with_its_fields(kind: str, fields: dict[str, Any]) -> None:
    got = event(kind, **fields)
    assert got.kind == kind
    assert fields.items() <= got.body.items()


def test_the_lead_id_wins_over_the_email_and_both_leave_the_body() -> None:
    got = event("web_visit", email=" Jane.Doe@Example.COM ")
    assert (got.lead, got.email, got.body) == ("lead-1", "jane.doe@example.com", {})


def test_without_a_lead_id_the_normalised_email_is_the_lead() -> None:
    got = event("web_visit", lead_id=None, email="Jane@BÜCHER.example")
    assert (got.lead, got.email) == ("jane@xn--bcher-kva.example", "jane@xn--bcher-kva.example")


def test_an_event_of_nothing_but_a_visitor_is_anonymous_and_one_of_nobody_ignored() -> None:
    result = read("web_visit", anonymous_id="cookie", account="acme", phone="+49")
    assert isinstance(result, Anonymous)
    assert (result.event.lead, result.event.body["anonymous_id"]) == ("", "cookie")
    assert str(result.outcome) == "ignored(no_lead)"
    assert read("web_visit", account="acme", phone="+49") == Ignored(
        "web_visit", Reason.NO_LEAD, "names no lead: none of lead_id, email, user_id and anonymous_id"
    )
    assert isinstance(read("web_visit", lead_id="", email=""), Ignored)


def test_an_address_that_is_none_is_dropped_when_something_else_says_who_it_was() -> None:
    assert event("web_visit", email="not an address").email is None
    assert isinstance(read("web_visit", email="nobody", user_id="u1"), Anonymous)
    assert refusal("web_visit", email="nobody@") == (
        "bad_field",
        'email: got "nobody@", expected an email address, for nothing else says who this was',
    )


@pytest.mark.parametrize("name", ["user_id", "anonymous_id"])
def test_a_visitors_id_that_is_none_is_refused_when_nothing_else_says_who_it_was(name: str) -> None:
    long = {name: "u" * 513}
    assert refusal("web_visit", **long) == ("bad_field", f"{name}: got a text of 513 characters, expected at most 512")
    assert refusal("web_visit", **long, email="nobody")[0] == "bad_field"
    assert refusal("web_visit", **{name: "\0u"}) == (
        "bad_field",
        f'{name}: got "\\u0000u", expected a text that does not begin with a NUL character',
    )
    assert isinstance(read("web_visit", **{name: "u" * 512}), Anonymous)
    assert isinstance(read("web_visit", **{"user_id": "u", "anonymous_id": "a"} | long), Anonymous)
    assert event("web_visit", **long).body == long
    assert isinstance(read("web_visit", **long, email="ann@acme.example"), Event)


def test_the_machine_flag_is_carried() -> None:
    assert event("email_click", machine=True).machine is True
    assert event("email_click", machine=None).machine is False


def test_the_kind_in_the_record_wins_over_that_of_the_topic() -> None:
    own = canonical(b'{"id":"1","time":1767268800000,"lead_id":"l","kind":"activity"}', kind="web_visit", source="mql.web-visits.v1")
    topic = canonical(b'{"id":"1","time":1767268800000,"lead_id":"l"}', kind="web_visit", source="mql.web-visits.v1")
    assert isinstance(own, Event)
    assert isinstance(topic, Event)
    assert (own.kind, topic.kind) == ("activity", "web_visit")


def test_the_source_defaults_to_the_topics_name_and_offline_to_default() -> None:
    online = canonical({"id": "1", "time": NOON, "lead_id": "l", "kind": "activity"}, source="mql.activities.v1")
    assert isinstance(online, Event)
    assert online.source == "mql.activities.v1"
    assert event("activity").source == "default"
    assert event("activity", source="crm").source == "crm"


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-01-01T12:00:00Z", NOON),
        ("2026-01-01t12:00:00.1239z", NOON + 123),
        ("2026-01-01 14:00:00+02:00", NOON),
        ("2026-01-01T14:00:00.123456789+02:00", NOON + 123),
        ("2026-01-01T12:00:60Z", NOON + 59_999),
        ("2000-01-01T00:00:00Z", 946_684_800_000),
        ("2099-12-31T23:59:59.999Z", 4_102_444_799_999),
    ],
)
def test_a_time_may_be_rfc_3339(text: str, ms: int) -> None:
    assert event("activity", time=text).time == ms


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        (946_684_799_999, "946684799999"),
        (LATEST_MS, str(LATEST_MS)),
        (0, "0"),
        (-1, "-1"),
        (2**70, "1.1805916207174113e+21"),
        (1.5e12, "1500000000000.0"),
        (True, "true"),
        ("yesterday", '"yesterday"'),
        ("2026-01-01T12:00:00", '"2026-01-01T12:00:00"'),
        ("2026-01-01", '"2026-01-01"'),
        ("2026-02-30T12:00:00Z", '"2026-02-30T12:00:00Z"'),
        ("2026-W01-4T12:00:00Z", '"2026-W01-4T12:00:00Z"'),
        ("2026-01-01T12:00:00+0200", '"2026-01-01T12:00:00+0200"'),
        ("2026-01-01T12:00:00+01:60", '"2026-01-01T12:00:00+01:60"'),
        ("2026-01-01T12:00:00.Z", '"2026-01-01T12:00:00.Z"'),
        ("2026-01-01T12:00:60.Z", '"2026-01-01T12:00:60.Z"'),
        ("2026-01-01T12:00:00,5Z", '"2026-01-01T12:00:00,5Z"'),
        ("2026-01-01T12:00:00 +01:00", '"2026-01-01T12:00:00 +01:00"'),
        ("2026-01-01T12:00:00.123456 Z", '"2026-01-01T12:00:00.123456 Z"'),
        ("2026-01-01T12:00:-05", '"2026-01-01T12:00:-05"'),
        ("1767268800000", '"1767268800000"'),
        ([], "a list"),
        ({"ms": 1}, "an object"),
    ],
)
def test_what_is_no_time_is_rejected(time: Any, shown: str) -> None:
    assert refusal("activity", lead_id="l", time=time) == ("bad_time", f"time: got {shown}, {EXPECTED_TIME}")


def test_seconds_in_place_of_milliseconds_are_named() -> None:
    assert refusal("activity", lead_id="l", time=1_767_268_800) == (
        "bad_time",
        f"time: got 1767268800, {EXPECTED_TIME}; these look like seconds",
    )


def test_a_time_more_than_five_minutes_ahead_of_its_record_is_taken_at_the_records() -> None:
    record = {"id": "1", "kind": "activity", "lead_id": "l", "time": NOON}

    def at(record_ms: int | None) -> tuple[int, bool]:
        got = canonical(record, record_ms=record_ms)
        assert isinstance(got, Event)
        return got.time, got.clock_skew

    assert at(NOON - 300_000) == (NOON, False)
    assert at(NOON - 300_001) == (NOON - 300_001, True)
    assert at(NOON + 10**9) == (NOON, False)
    assert at(None) == (NOON, False)
    assert at(-1) == (NOON, False)
    assert at(1_767_268_800) == (NOON, False)


@pytest.mark.parametrize(
    ("kind", "fields", "reason", "detail"),
    [
        (None, {}, "missing_field", f"kind: missing, {EXPECTED_KIND}"),
        ("web_vist", {}, "unknown_kind", f'kind: got "web_vist", {EXPECTED_KIND} (did you mean web_visit?)'),
        ("activity", {"id": ...}, "missing_field", "id: missing, expected a text that is unique within the source"),
        ("activity", {"id": ""}, "missing_field", "id: missing, expected a text that is unique within the source"),
        ("activity", {"id": 7}, "bad_field", "id: got 7, expected text"),
        ("activity", {"id": "x" * 513}, "bad_field", "id: got a text of 513 characters, expected at most 512"),
        ("activity", {"source": False}, "bad_field", "source: got false, expected text"),
        ("activity", {"time": ...}, "missing_field", f"time: missing, {EXPECTED_TIME}"),
        ("activity", {"lead_id": 12}, "bad_field", "lead_id: got 12, expected text"),
        ("activity", {"lead_id": "x" * 600}, "bad_field", "lead_id: got a text of 600 characters, expected at most 512"),
        ("activity", {"email": ["a@b.example"]}, "bad_field", "email: got a list, expected text"),
        ("activity", {"machine": "yes"}, "bad_field", 'machine: got "yes", expected true or false'),
        ("activity", {"user_id": 5}, "bad_field", "user_id: got 5, expected text"),
        ("activity", {"properties": []}, "bad_field", "properties: got a list, expected an object"),
        ("web_visit", {"url": {}}, "bad_field", "url: got an object, expected text"),
        ("web_visit", {"query": "a=1"}, "bad_field", 'query: got "a=1", expected an object'),
        ("web_visit", {"duration_seconds": True}, "bad_field", "duration_seconds: got true, expected a number"),
        ("web_visit", {"duration_seconds": "40"}, "bad_field", 'duration_seconds: got "40", expected a number'),
        ("web_visit", {"title": "t" * 16_385}, "bad_field", "title: got a text of 16385 characters, expected at most 16384"),
        ("form_fill", {"fields": [{"name": "a"}]}, "bad_field", "fields: got a list, expected an object"),
        (
            "email_click",
            {"action": "clicked"},
            "bad_field",
            'action: got "clicked", expected one of delivered open click reply unsubscribe bounce complaint (did you mean click?)',
        ),
        (
            "webinar_attendance",
            {"action": "open"},
            "bad_field",
            'action: got "open", expected one of registered attended left no_show watched_on_demand',
        ),
        ("profile", {}, "missing_field", "attributes: missing, expected an object"),
        ("profile", {"attributes": "VP"}, "bad_field", 'attributes: got "VP", expected an object'),
        (
            "profile",
            {"attributes": {str(number): 1 for number in range(201)}},
            "bad_field",
            "attributes: got 201 of them, expected at most 200",
        ),
        ("profile", {"attributes": {"x": "y" * 40_000}}, "bad_field", "attributes: got 40008 bytes of JSON, expected at most 32768"),
        (
            "feedback",
            {},
            "missing_field",
            "decision: missing, expected one of accepted rejected recycled qualified opportunity won lost disqualified",
        ),
        (
            "feedback",
            {"decision": "yes"},
            "bad_field",
            'decision: got "yes", expected one of accepted rejected recycled qualified opportunity won lost disqualified',
        ),
        ("feedback", {"lead_id": None}, "missing_field", "lead_id: missing, expected the lead that the feedback is about"),
        ("command", {}, "missing_field", "do: missing, expected one of erase merge freeze resume reset retract machine_verdict"),
        ("command", {"do": "erase", "lead_id": None}, "missing_field", "lead_id: missing, expected the lead that the command is about"),
        ("command", {"do": "merge"}, "missing_field", "into: missing, expected what the command merge is about"),
        (
            "command",
            {"do": "merge", "into": "lead-1"},
            "bad_field",
            'into: got "lead-1", expected another lead than the one that is merged',
        ),
        (
            "command",
            {"do": "retract", "event_id": "e"},
            "missing_field",
            "event_source: missing, expected what the command retract is about",
        ),
    ],
)
def test_a_record_that_breaks_the_contract_is_rejected_in_these_words(
    kind: str | None, fields: dict[str, Any], reason: str, detail: str
) -> None:
    assert refusal(kind, **{"lead_id": "lead-1", **fields}) == (reason, detail)


def test_a_record_of_more_than_a_thousand_fields_is_rejected() -> None:
    fields = {f"field {number}": "some text of its own" for number in range(998)}
    event("activity", **fields)
    assert refusal("activity", lead_id="l", **fields, a=1, b=2, c=3) == ("bad_field", "value: got 1001 fields, expected at most 1000")


DEEP = f"value: nested too deep, expected at most {MAX_DEPTH} levels"


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (None, "empty", "value: empty, expected a JSON object"),
        (b"", "empty", "value: empty, expected a JSON object"),
        (b"{", "not_json", "value: unexpected end of data: column 2, expected a JSON object"),
        (
            b'{"id": NaN}',
            "not_json",
            "value: unexpected character, expected a JSON value: column 8, expected a JSON object",
        ),
        (b'{"id": 1 x}\n', "not_json", "value: unexpected character, expected ',' or '}': column 10, expected a JSON object"),
        (b'{\n "id": x}', "not_json", "value: unexpected character, expected a JSON value: line 2 column 8, expected a JSON object"),
        (
            b'{"id": "\xc3\xa9\xff"}',
            "not_json",
            "value: got the byte 0xff at offset 10, which is no UTF-8, expected a JSON object in UTF-8",
        ),
        (b"[]", "not_an_object", "value: got a list, expected a JSON object"),
        (b'"text"', "not_an_object", 'value: got "text", expected a JSON object'),
        (b"null", "not_an_object", "value: got null, expected a JSON object"),
        (b" " * (MAX_BYTES + 1), "too_large", "value: got 1000001 bytes, expected at most 1000000"),
        (b"x" * 10_000_000, "too_large", "value: got 10000000 bytes, expected at most 1000000"),
        (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "too_deep", DEEP),
        (b'{"a":' * 100_000, "too_deep", DEEP),
        (b"[" * 500_000 + b"]" * 500_000, "too_deep", DEEP),
    ],
)
def test_what_is_no_json_object_of_bearable_size_is_rejected(value: bytes | None, reason: str, detail: str) -> None:
    result = canonical(value, kind="activity")
    assert isinstance(result, Rejected)
    assert (result.kind, result.reason.value, result.detail) == ("activity", reason, detail)


def test_sixty_four_levels_are_not_too_deep() -> None:
    value = b'{"id":"1","time":1767268800000,"lead_id":"l","kind":"activity","a":' + b"[" * 63 + b"]" * 63 + b"}"
    assert isinstance(canonical(value), Event)
    # Brackets beside each other or inside text are no levels.
    wide = b'{"id":"1","time":1767268800000,"lead_id":"l","kind":"activity","t":"' + b"[{" * 500 + b'","a":[' + b"[]," * 500 + b"1]}"
    assert isinstance(canonical(wide), Event)


def test_numbers_that_become_longer_when_written_again_cannot_exceed_the_limit() -> None:
    numbers = b",".join([b"9e15"] * 190_000)
    result = canonical(b'{"id":"1","time":1767268800000,"lead_id":"l","kind":"activity","a":[' + numbers + b"]}")
    assert isinstance(result, Rejected)
    assert (result.reason, result.detail) == (
        Reason.TOO_LARGE,
        "value: becomes an event of 3610094 bytes, expected at most 2000000",
    )


def test_an_object_that_json_cannot_hold_is_rejected_like_text_that_is_none() -> None:
    for value in ({1: "a"}, {"a": {1, 2}}, {"a": object()}, {"a": "\ud800"}, {"a": 2**64}):
        result = canonical(value, kind="activity")  # type: ignore[arg-type]
        assert isinstance(result, Rejected)
        assert result.reason is Reason.NOT_JSON
        assert result.detail.startswith("value: ")


def test_a_kind_that_cannot_be_told_is_counted_as_unknown() -> None:
    assert read(None) == Rejected("unknown", Reason.MISSING_FIELD, f"kind: missing, {EXPECTED_KIND}")
    strange = read("visit")
    assert isinstance(strange, Rejected)
    assert strange.kind == "unknown"


def test_a_refused_text_is_shown_in_part_only() -> None:
    _, detail = refusal("activity", lead_id="l", machine="x" * 10_000)
    assert len(detail) < 140


def test_every_kind_can_be_read() -> None:
    needed: dict[str, dict[str, Any]] = {"profile": {"attributes": {}}, "feedback": {"decision": "won"}, "command": {"do": "reset"}}
    assert [event(kind, **needed.get(kind, {})).kind for kind in KINDS] == list(KINDS)


def test_no_lead_is_named_like_a_record_of_our_own() -> None:
    for odd in ("\0", "\0position/score/3"):
        assert refusal("web_visit", lead_id=odd)[0] == "bad_field"
        assert refusal("command", lead_id="l", do="merge", into=odd)[0] == "bad_field"
    assert event("web_visit", lead_id="x\0").lead == "x\0"
