"""What single vendors do that no other does: content types, escapes, columns, greetings. The rest is in the fixtures of `test_adapters`."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus, urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqlstream.core.event import Event
from mqlstream.core.outcome import Reason
from mqlstream.ingest.adapters.base import Headers
from mqlstream.ingest.adapters.forms import form_or_json
from mqlstream.ingest.adapters.reading import read
from mqlstream.ingest.adapters.registry import source_of
from mqlstream.ingest.adapters.snowplow import COLUMNS
from mqlstream.ingest.fields import Refused
from mqlstream.ingest.results import Ignored, Rejected
from mqlstream.topics import Topics
from mqlstream.wire import decode
from tests.ingest.test_adapters import Got, process

TOPICS = Topics("mql.")
VISIT = {"kind": "web_visit", "email": "ann@acme.example", "url": "https://shop.example/"}
ENVELOPE = {"specversion": "1.0", "type": "com.acme.visit", "source": "/site", "id": "A-1", "time": "2026-03-02T09:15:00Z"}
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x1e\x1f"), max_size=20)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="[]\x1e\x1f"), min_size=1, max_size=8)


def results(value: Any, adapter: str, headers: Headers = ()) -> list[Any]:
    raw = value if isinstance(value, bytes) else orjson.dumps(value)
    return [reading.result for reading in read(source_of({"adapter": adapter}), raw, headers, topic="t")]


def test_a_structured_cloudevent_may_have_its_attributes_in_the_headers_as_well() -> None:
    headers: Headers = (
        ("content-type", b"application/cloudevents+json; charset=UTF-8"),
        *((f"ce_{name}", value.encode()) for name, value in ENVELOPE.items()),
    )
    (event,) = results(ENVELOPE | {"data": VISIT}, "cloudevents", headers)
    assert isinstance(event, Event)
    assert (event.source, event.id, event.lead) == ("/site", "A-1", "ann@acme.example")
    batch: Headers = (("content-type", b"application/cloudevents-batch+json"),)
    one, two = results([ENVELOPE | {"data": VISIT}, ENVELOPE | {"id": "A-2", "data": VISIT}], "cloudevents", batch)
    assert (one.id, two.id) == ("A-1", "A-2")


def test_a_cloudevent_of_the_http_binding_has_its_attributes_escaped() -> None:
    headers: Headers = (
        ("content-type", b"application/json"),
        *((f"ce-{name}", value.encode()) for name, value in ENVELOPE.items() if name != "source"),
        ("ce-source", b"/Euro%20%E2%82%AC"),
        ("ce-subject", b"bob%40acme.example"),
    )
    (event,) = results({"kind": "web_visit", "url": "https://shop.example/"}, "cloudevents", headers)
    assert isinstance(event, Event)
    assert (event.source, event.lead) == ("/Euro €", "bob@acme.example")


@given(st.dictionaries(NAMES, TEXTS, min_size=1, max_size=6))
def test_a_form_is_read_back_as_it_was_written(pairs: dict[str, str]) -> None:
    assert form_or_json(b"&" + urlencode(pairs).encode()) == pairs


@given(st.lists(st.sampled_from(["%", "%4", "%41", "%zz", "%26", "%3D", "%C3%A9", "%ff", "+", "=", "a", "\n", "\r", "é"]), max_size=8))
def test_escapes_that_are_none_stay_as_they_are(parts: list[str]) -> None:
    content = "".join(parts)
    assert form_or_json(f"x={content}".encode()) == {"x": unquote_plus(content)}


def test_two_control_characters_are_dropped_and_part_nothing() -> None:
    assert form_or_json(b"x=a%1Eb%1fc%1Dd&y=\x1fe=f\x1e") == {"x": "abc\x1dd", "y": "e=f"}


def test_fields_within_fields_of_a_form_become_objects() -> None:
    assert form_or_json(b"data%5Bmerges%5D%5BFNAME%5D=Ann&data[id]=1&data[id][x]=2&type=a") == {
        "data": {"merges": {"FNAME": "Ann"}, "id": "1"},
        "type": "a",
    }
    with pytest.raises(Refused, match="neither JSON nor the fields of a form"):
        form_or_json(b"hello")


def test_a_line_of_snowplow_has_its_columns_where_the_documentation_has_them() -> None:
    assert len(COLUMNS) == len(set(COLUMNS)) == 131
    places = {"event": 6, "event_id": 7, "user_id": 13, "page_url": 30, "unstruct_event": 59, "useragent": 78, "derived_contexts": 123}
    places |= {"derived_tstamp": 125, "event_name": 127, "true_tstamp": 131}
    assert {name: COLUMNS.index(name) + 1 for name in places} == places
    cells = dict.fromkeys(COLUMNS, "") | {"event": "page_view", "event_id": "e", "collector_tstamp": "2026-03-02 09:15:00.123"}
    (event,) = results(
        "\t".join((cells | {"user_id": "ann@acme.example", "page_url": "https://a.example/x"}).values()).encode(), "snowplow"
    )
    assert isinstance(event, Event)
    assert (event.id, event.time, event.lead, event.body["path"]) == ("e", 1772442900123, "ann@acme.example", "/x")
    (short,) = results(b"\t" * 129, "snowplow")
    assert short.detail == "value: got a line of 130 columns, expected JSON or 131 columns with tabs between them"


def test_a_subscription_of_sns_that_waits_for_its_confirmation_is_a_dead_letter_with_the_address() -> None:
    asked = {"Type": "SubscriptionConfirmation", "Message": "You have chosen", "SubscribeURL": "https://sns.example/?Token=t"}
    effects = process([Got(orjson.dumps(asked), "mail")], {"adapter": "ses"})
    (letter,) = effects.outputs
    assert letter.topic == TOPICS.dead_letters
    assert b"https://sns.example/?Token=t" in (letter.value or b"")
    assert dict(letter.headers)["mqlstream.detail"].startswith(b"Type: got a SubscriptionConfirmation of SNS; visit the SubscribeURL")


def test_an_address_that_livestorm_made_up_makes_no_lead() -> None:
    detail = {"event_id": "ev", "session_id": "se", "created_at": 1772443000, "updated_at": 1772443000}
    person = {"type": "people", "id": "p", "attributes": {"email": "1772443000+x@unknown.livestorm.co", "registrant_detail": detail}}
    assert [(result.kind, result.reason) for result in results({"data": person}, "livestorm")] == [
        ("webinar_attendance", Reason.NO_LEAD),
    ]


@pytest.mark.parametrize(("hook", "seconds"), [({"joinTime": 1772636430898}, 30), ({}, 34)])
def test_a_joining_is_at_its_own_time_where_it_is_told(hook: dict[str, Any], seconds: int) -> None:
    joined = {"eventName": "registrant.joined", "webinarKey": 1, "registrantKey": 2, "email": "a@acme.example"}
    (event,) = results(joined | {"timestamp": "2026-03-04T15:00:34.517Z"} | hook, "gotowebinar")
    assert event.time // 1000 == 1772636400 + seconds


UTC = "expected RFC 3339, in UTC where it has no offset, in the years 2000 to 2100"


@pytest.mark.parametrize("time", ["bad", "2026-03-02", "1999-03-02T09:15:00", "2026-03-02T09:15:00 +01:00", "2026-03-02 09:15:00.UTC"])
def test_a_time_that_is_none_is_shown_as_it_was_written(time: str) -> None:
    call = {"type": "page", "messageId": "1", "userId": "ann@acme.example", "timestamp": time}
    assert results(call, "segment") == [Rejected("unknown", Reason.BAD_TIME, f'timestamp: got "{time}", {UTC}')]
    source = source_of({"adapter": "json", "kind": "activity", "fields": {"id": "id", "time": {"path": "at", "unit": "utc"}}})
    (reading,) = read(source, orjson.dumps({"id": "1", "at": time}), topic="t")
    assert reading.result == Rejected("unknown", Reason.BAD_TIME, f'time: got "{time}", {UTC}')


def test_seconds_that_are_no_time_are_shown_as_they_were_written() -> None:
    opened = {"event": "open", "email": "ann@acme.example", "sg_event_id": "1", "timestamp": "1772442900000"}
    assert [result.detail for result in results(opened, "sendgrid")] == ['timestamp: got "1772442900000", expected epoch seconds']


def test_a_mapped_field_that_is_no_time_of_the_event_stays_a_text() -> None:
    fields = {"id": "id", "time": "at", "email": "mail", "start": {"path": "start", "unit": "utc"}}
    source = source_of({"adapter": "json", "kind": "activity", "fields": fields})
    payload = {"id": "1", "at": 1772442900000, "mail": "ann@acme.example", "start": "2026-03-02 09:15:00"}
    (reading,) = read(source, orjson.dumps(payload), topic="t")
    assert isinstance(reading.result, Event)
    assert reading.result.body == {"start": "2026-03-02 09:15:00Z"}


def test_the_address_among_the_traits_of_a_batch_is_spelt_once_for_each_call() -> None:
    calls = [{"type": "identify", "messageId": str(number), "timestamp": "2026-03-02T09:15:00Z"} for number in range(2)]
    found = results({"batch": calls, "context": {"traits": {"email": "Ann@ACME.example", "title": "VP"}}}, "segment")
    assert [(event.lead, event.attributes) for event in found] == [
        ("ann@acme.example", {"email": "ann@acme.example", "title": "VP"}),
    ] * 2


def test_an_address_among_the_traits_is_not_whose_the_call_is() -> None:
    call = {"type": "identify", "messageId": "1", "timestamp": "2026-03-02T09:15:00Z", "traits": {"email": "Bob@rival.example"}}
    (event,) = results(call | {"context": {"traits": {"email": "ann@acme.example"}}}, "segment")
    assert (event.lead, event.email, event.attributes) == ("ann@acme.example", "ann@acme.example", {"email": "bob@rival.example"})


@pytest.mark.parametrize(
    ("adapter", "payload", "text"),
    [
        ("typeform", {"event_type": "form_response"}, "form_response: missing, expected a JSON object"),
        ("calendly", {"event": "invitee.created", "payload": None}, "payload: missing, expected a JSON object"),
        ("cloudevents", ENVELOPE, "data: missing, expected a JSON object"),
        ("mailgun", {"event-data": None}, "event-data: missing, expected a JSON object"),
        ("mailchimp", {"type": "subscribe", "data[email]": "ann@acme.example"}, "data: missing, expected a JSON object"),
        ("livestorm", {}, "type: missing, expected people, or another type of object"),
        ("livestorm", {"data": None}, "data: missing, expected a JSON object"),
        ("snippet", {"time": 1772442900000}, "id: missing, expected 32 hexadecimal digits, as the script makes them"),
        ("segment", {"batch": None}, "batch: missing, expected a list"),
    ],
)
def test_what_a_payload_lacks_is_missing(adapter: str, payload: dict[str, Any], text: str) -> None:
    assert results(payload, adapter) == [Rejected("unknown", Reason.MISSING_FIELD, text)]


def test_an_object_that_is_something_else_is_shown() -> None:
    (refused,) = results({"event_type": "form_response", "form_response": "x"}, "typeform")
    assert refused == Rejected("unknown", Reason.NOT_AN_OBJECT, 'form_response: got "x", expected a JSON object')
    (refused,) = results(b'[{"event": "open"}, {"event": \xff}]', "sendgrid")
    assert refused == Rejected(
        "unknown", Reason.NOT_JSON, "value: got the byte 0xff at offset 30, which is no UTF-8, expected JSON in UTF-8"
    )


def test_any_name_of_a_bot_marks_a_machine() -> None:
    clicked = {"event": "clicked", "id": "1", "timestamp": 1772442900, "recipient": "ann@acme.example"}
    marked = [results(clicked | {"client-info": {"bot": bot}}, "mailgun")[0].machine for bot in ("apple", "another", "", None)]
    assert marked == [True, True, False, False]


def test_the_address_of_a_group_is_nobodys() -> None:
    group = {"type": "group", "messageId": "1", "userId": "u", "groupId": "g", "timestamp": "2026-03-02T09:15:00Z"}
    (found,) = results(group | {"traits": {"email": "office@acme.example", "name": "Acme"}}, "segment")
    assert found.event.lead == ""
    assert found.event.attributes == {"company": "Acme"}


def test_a_submission_sent_to_the_api_has_its_time_as_digits() -> None:
    fields = [{"objectTypeId": "0-1", "name": "email", "value": "a@acme.example"}]
    (event,) = results({"formId": "f", "submittedAt": "1772443140000", "fields": fields}, "hubspot")
    assert (event.time, event.lead) == (1772443140000, "a@acme.example")
    (refused,) = results({"formId": "f", "submittedAt": "1772443140", "fields": fields}, "hubspot")
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.BAD_TIME


def test_what_the_owner_of_a_list_did_is_no_touch() -> None:
    change = {"RecordType": "SubscriptionChange", "MessageID": None, "ChangedAt": "2026-03-02T09:21:00Z", "Recipient": "a@acme.example"}
    calls = (
        ("mailchimp", b"type=unsubscribe&fired_at=2026-03-02+09:20:00&data[action]=delete&data[email]=a@acme.example"),
        ("postmark", change | {"Origin": "Admin", "SuppressSending": True, "SuppressionReason": "ManualSuppression"}),
    )
    for adapter, call in calls:
        (result,) = results(call, adapter)
        assert isinstance(result, Ignored), adapter
        assert result.reason is Reason.NO_TOUCH


def test_a_form_that_gravity_forms_sends_as_a_form_goes_through_the_stage() -> None:
    call = urlencode({"id": "9", "form_id": "7", "date_created": "2026-03-02 09:18:00", "1.3": "Ann", "3": "a+b@acme.example"})
    (output,) = process([Got(call.encode(), "forms")], {"adapter": "gravity_forms", "email": "3", "forms": {"7": "demo"}}).outputs
    event = decode(output.value or b"")
    assert (event.lead, event.body["form"], event.body["fields"]["1.3"]) == ("a+b@acme.example", "demo", "Ann")
