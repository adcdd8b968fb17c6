"""The page of a backtest: whole, of itself alone, and safe with whatever stands in the data."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

from mqlstream.backtest.page import MOST, page

ZONE = ZoneInfo("Europe/Berlin")
AT = 1_793_610_000_000  # 2026-11-02T10:00 in Berlin
EVIL = """<script>alert("1")</script>'&"""


class Reader(HTMLParser):
    """Checks that what is opened is closed, and keeps tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def mql(total: float = 101.5) -> dict[str, Any]:
    return {"qualified_at": AT, "score": {"total": total}, "grade": "", "qualified_again_at": []}


def reason(label: str = "Looked at pricing") -> dict[str, Any]:
    return {"what": "rule", "name": "pricing", "label": label, "old": None, "new": 20.0}


def row(lead: str, change: str = "becomes", label: str = "Looked at pricing") -> dict[str, Any]:
    old, new = (None if change == "becomes" else mql()), (None if change == "stops" else mql())
    return {"lead_id": lead, "change": change, "old": old, "new": new, "days": 3 if change == "moves" else None, "reasons": [reason(label)]}


def result(leads: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    counts = {change: sum(each["change"] == change for each in leads) for change in ("becomes", "stops", "moves", "stays")}
    weeks = [{"week": "2026-W45", "monday": "2026-11-02", "old": 1, "new": len(leads)}]
    return {
        "new": {"id": "first", "version": 2, "digest": "ab" * 32},
        "old": {"id": "first", "version": 1, "digest": "cd" * 32},
        "summary": {**counts, "median_days_moved": 3, "mqls": {"old": 1, "new": len(leads)}, "weeks": weeks},
        "feedback": None,
        "leads": leads,
        **more,
    }


def test_a_page_says_what_was_compared_and_how_to_do_it_again() -> None:
    command = "mqlstream backtest --definition=new.yaml --against=old.yaml events.jsonl"
    read = Reader(page(result([row("ann"), row("bob", "stops"), row("eve", "moves")]), ZONE, command))
    title = f"Backtest of first version 2 ({'ab' * 6}) against first version 1 ({'cd' * 6})"
    assert read.texts.count(title) == 2
    assert {"ab" * 32, "cd" * 32, command, "ann", "bob", "eve", "2026-11-02 10:00", "+3", "Looked at pricing 0 → 20"} <= set(read.texts)


def test_nothing_of_a_page_comes_from_elsewhere_or_runs() -> None:
    read = Reader(page(result([row("ann")]), ZONE, "mqlstream"))
    assert not {"script", "link", "img", "iframe", "a", "object"} & set(read.tags)
    assert not [name for name, _ in read.attributes if name in ("src", "href") or name.startswith("on")]
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in read.attributes


def test_data_is_text_whatever_stands_in_it() -> None:
    told = {"mqls": 1, "accepted": 1, "rejected": 0, "customers": 0, "acceptance": 1.0, "lift": 1.0}
    side = {"mqls": 1, "accepted": 1, "rejected": 0, "unanswered": 0, "precision": 1.0, "recall": None}
    feedback = {"old": side, "new": side, "rules": [{"rule": EVIL, "old": None, "new": told}]}
    evil = result([row(EVIL, label=EVIL)], feedback=feedback)
    evil["new"]["id"] = EVIL
    text = page(evil, ZONE, EVIL)
    read = Reader(text)
    assert "script" not in read.tags
    assert "<script>" not in text
    assert read.texts.count(EVIL) == 4, "definition, lead, rule, command"
    assert f"{EVIL} 0 → 20" in read.texts


def test_a_long_list_is_cut_and_says_so() -> None:
    read = Reader(page(result([row(f"lead-{number:04}") for number in range(MOST + 1)]), ZONE, "mqlstream"))
    assert "The first 1,000 of 1,001 leads; --format jsonl has all" in read.texts
    assert f"lead-{MOST - 1:04}" in read.texts
    assert f"lead-{MOST:04}" not in read.texts


def test_without_an_old_definition_a_page_has_one_side() -> None:
    alone = result([row("ann")], old=None)
    read = Reader(page(alone, ZONE, "mqlstream"))
    assert f"Backtest of first version 2 ({'ab' * 6})" in read.texts
    assert not [text for text in read.texts if "stop being" in text or "old" in text.split()]
    assert "Looked at pricing 20" in read.texts


def test_nothing_to_tell_is_a_page_too() -> None:
    empty = result([])
    empty["summary"] |= {"weeks": [], "median_days_moved": None}
    assert Reader(page(empty, ZONE, "mqlstream")).texts.count("None.") == 4
