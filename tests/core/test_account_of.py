"""Which account a lead belongs to, as its handoff names it."""

from __future__ import annotations

from typing import Any

import pytest

from mqlstream import offline
from mqlstream.core.domains import registrable

DEFINITION = """
definition: d
version: 1
rules: [{id: visit, on: web_visit, points: 10}]
qualify: {threshold: {total: 10}}
"""
TIME = 1_793_610_000_000


def account(email: str | None, **attributes: Any) -> Any:
    who = {"lead_id": "ann", **({"email": email} if email else {})}
    profile = {"id": "1", "kind": "profile", "time": TIME, "attributes": attributes, **who}
    visit = {"id": "2", "kind": "web_visit", "time": TIME + 1, **who}
    (mql,) = offline.score_events([DEFINITION], [profile, visit])
    return mql["data"]["account"]


@pytest.mark.parametrize(
    ("email", "expected"),
    [
        ("ann@acme.example", "acme.example"),
        ("ann@mail.acme.co.uk", "acme.co.uk"),
        ("ann@eu.sales.acme.com", "acme.com"),
        ("info@de.acme.com", "acme.com"),
        ("ann@mail.bücher.example", "xn--bcher-kva.example"),
        ("ann@gmail.com", None),
        ("info@gmail.com", None),
        ("ann@mailinator.com", None),
        ("ann@co.uk", None),
        (None, None),
    ],
)
def test_an_account_is_what_somebody_registered_unless_it_is_free_mail(email: str | None, expected: str | None):
    assert account(email) == expected


def test_an_account_that_is_told_wins():
    assert account("ann@mail.acme.com", account="acme-emea") == "acme-emea"


def test_companies_that_let_others_register_are_suffixes_too():
    assert registrable("shop.github.io") == "shop.github.io"
    assert registrable("www.shop.github.io") == "shop.github.io"
