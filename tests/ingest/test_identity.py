"""Email addresses by example, and the one property: what is normalised stays as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqlstream.config import load
from mqlstream.core.email_kinds import EMAIL_KINDS, SHIPPED, email_kind
from mqlstream.core.event import Event
from mqlstream.errors import UsageError
from mqlstream.ingest.canonical import canonical
from mqlstream.ingest.identity import mailbox, normalise_email
from mqlstream.ingest.results import IngestOptions
from mqlstream.program import ingest_options


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("jane@acme.example", "jane@acme.example"),
        ("  Jane.Doe+News@ACME.Example\n", "jane.doe+news@acme.example"),
        ("o'brien@mail.acme.example", "o'brien@mail.acme.example"),
        ("jane@acme.example.", "jane@acme.example"),
        ("jane@Bücher.example", "jane@xn--bcher-kva.example"),
        ("jane@xn--bcher-kva.example", "jane@xn--bcher-kva.example"),
        ("jane@例え.テスト", "jane@xn--r8jz45g.xn--zckzah"),
        ("Jörg@acme.example", "jörg@acme.example"),
        ("jo\u0308rg@acme.example", "jörg@acme.example"),
        ("jane@acme。example", "jane@acme.example"),
    ],
)
def test_an_address_has_one_spelling(text: str, address: str) -> None:
    assert normalise_email(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "jane",
        "jane@",
        "@acme.example",
        "jane@localhost",
        "jane@acme..example",
        "jane@-acme.example",
        "jane@acme-.example",
        "jane@acme_corp.example",
        "jane@10.0.0.1",
        "jane@[10.0.0.1]",
        "jane doe@acme.example",
        "jane@doe@acme.example",
        '"jane"@acme.example',
        "jane@acme.example, kim@acme.example",
        "<jane@acme.example>",
        "jane\x00@acme.example",
        "jäne\u200b@acme.example",
        "j" * 65 + "@acme.example",
        "jane@" + "a" * 64 + ".example",
        "jane@" + "acme." * 60 + "example",
        "jane@\u0378.example",
    ],
)
def test_what_is_no_address_has_no_spelling(text: str) -> None:
    assert normalise_email(text) is None


@given(st.one_of(st.text(max_size=80), st.emails(), st.tuples(st.text(max_size=20), st.text(max_size=20)).map("@".join)))
def test_a_normalised_address_stays_as_it_is(text: str) -> None:
    address = normalise_email(text)
    if address is not None:
        assert normalise_email(address) == address


@pytest.mark.parametrize(
    ("email", "kind"),
    [
        ("info@mailinator.com", "disposable"),
        ("jane@in.box.mailinator.com", "disposable"),
        ("info@gmail.com", "role"),
        ("sales+eu@acme.example", "role"),
        ("jane@gmail.com", "free"),
        ("jane@mail.gmail.com", "business"),
        ("jane@acme.example", "business"),
        ("information-desk@acme.example", "business"),
    ],
)
def test_an_address_is_of_the_first_kind_that_holds(email: str, kind: str) -> None:
    assert email_kind(email) == kind
    assert kind in EMAIL_KINDS


def test_lists_can_be_added_to_and_taken_from() -> None:
    lists = SHIPPED.with_changes(disposable=["Trash.example", "!mailinator.com"], role=["buyers", "!info"], free=["provider.example"])
    kinds = {email: email_kind(email, lists) for email in ("a@trash.example", "a@mailinator.com", "buyers@x.example", "info@x.example")}
    assert kinds == {
        "a@trash.example": "disposable",
        "a@mailinator.com": "business",
        "buyers@x.example": "role",
        "info@x.example": "business",
    }
    assert email_kind("a@provider.example", lists) == "free"
    assert email_kind("a@provider.example") == "business"


def test_the_shipped_lists_hold_names_as_they_are_looked_up() -> None:
    assert not SHIPPED.disposable & SHIPPED.free
    for domain in SHIPPED.disposable | SHIPPED.free:
        assert normalise_email(f"a@{domain}") == f"a@{domain}"
    for name in SHIPPED.role:
        assert normalise_email(f"{name}@acme.example") == f"{name}@acme.example"


def test_a_provider_s_rule_says_which_addresses_reach_one_mailbox() -> None:
    rules = {"gmail.com": "plus_dots", "acme.example": "plus", "dots.example": "dots"}
    assert [
        mailbox(address, rules)
        for address in (
            "jane.doe+news@gmail.com",
            "jane.doe+news@acme.example",
            "jane.doe+news@dots.example",
            "jane.doe+news@other.example",
            "+tag@acme.example",
        )
    ] == ["janedoe@gmail.com", "jane.doe@acme.example", "janedoe+news@dots.example", "jane.doe+news@other.example", "+tag@acme.example"]
    fields = {"id": "1", "time": 1_793_610_000_000, "email": "Jane.Doe+news@Gmail.com"}
    event = canonical(fields, kind="web_visit", options=IngestOptions(mailbox_rules=rules))
    assert isinstance(event, Event)
    assert (event.lead, event.email) == ("janedoe@gmail.com", "jane.doe+news@gmail.com")
    event = canonical(fields | {"lead_id": "l1"}, kind="web_visit", options=IngestOptions(mailbox_rules=rules))
    assert isinstance(event, Event)
    assert event.lead == "l1"


def test_a_rule_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match=r"ingest.mailbox_rules.gmail.com: got 'all', expected one of plus dots plus_dots"):
        ingest_options(load(None, {"MQLSTREAM_INGEST_MAILBOX_RULES": "gmail.com=all"}))
    assert ingest_options(load(None, {"MQLSTREAM_INGEST_MAILBOX_RULES": "Gmail.com=plus"})).mailbox_rules == {"gmail.com": "plus"}
