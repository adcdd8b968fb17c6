"""What machines do: crawlers by their user agents, mail scanners by the way they click. Pure.

A mail gateway opens a message's links before its reader does: several at once, or within seconds of the delivery, or one that no
person can see. `judge` looks at the clicks of one lead, a bounded number of the newest, in whatever order they arrive: what a
later click or a late delivery says of earlier clicks is told as well. Only clicks are judged; a form is never held back.

Beside these strong signs, of which one is enough, there are weak ones, of which it takes two (`WEAK_NEEDED`): a click soon after the
delivery, another link near in time, and that no visit followed. The last says little by itself (visits can be lost, or belong to a
visitor nobody knows) and is known only when its time is over: see `mqlstream.ingest.unvisited`.
"""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from mqlstream.core.event import DAY_MS, Event

JUDGED_ACTIONS = frozenset({"click", "delivered"})  # of email events; the others say nothing of machines
CLICKS_MAX = 64  # of a lead: those of its newest messages
DELIVERIES_MAX = 32
KEPT_MS = DAY_MS  # how late the second half of a pattern may come
VISIT_MAX_MS = KEPT_MS // 2  # a click is still remembered when its time for a visit is over
BEFORE_DELIVERY_MS = 60_000  # a gateway scans before it tells the sender that it took the message
TRAPPED_MS = 60_000  # around a click on a link that nobody sees
WEAK_NEEDED = 2  # weak signs that make a verdict

BY = "mqlstream"  # source of the verdicts, and who gives them

_TOKENS = """
(?<!cu)bot crawl spider slurp scrap archiver fetch(?:er)?\\b headless phantomjs selenium puppeteer playwright lighthouse
pingdom uptime monitor(?:ing)?\\b preview facebookexternalhit embedly linkcheck link.?expand validator scanner \\bscan\\b
imageproxy barracuda mimecast proofpoint safelinks messagelabs symantec trendmicro fireeye fortinet forcepoint sophos ironport
zscaler paloalto cloudmark avanan darktrace
^curl/ ^wget/ python- aiohttp httpx/ scrapy go-http-client ^java/ apache-httpclient okhttp libwww ^ruby axios/ node-fetch ^got\\b guzzle
"""
_crawls = re.compile("|".join(_TOKENS.split())).search


@lru_cache(maxsize=16_384)
def is_crawler(user_agent: str) -> bool:
    """Whether a user agent is that of a program: a crawler, a preview, a monitor, a mail gateway, a library."""
    return _crawls(user_agent.lower()) is not None


@dataclass(frozen=True, slots=True)
class Rules:
    """What gives a scanner away. 0 turns a rule off; ``honeypots`` are texts within the urls of links that nobody sees.

    ``near_ms``, ``soon_ms`` and ``visit_ms`` are the weak signs'. ``sources``: the rules of a source where they are others.
    """

    burst_ms: int = 2_000
    after_delivery_ms: int = 5_000
    honeypots: tuple[str, ...] = ()
    near_ms: int = 10_000
    soon_ms: int = 60_000
    visit_ms: int = 0
    sources: Mapping[str, Rules] = field(default_factory=dict)

    def of(self, source: str) -> Rules:
        return self.sources.get(source, self)

    @property
    def wait_for_visits(self) -> bool:
        """Whether some source's clicks wait for a visit."""
        return any(each.visit_ms for each in (self, *self.sources.values()))


DEFAULT_RULES = Rules()
_TIMINGS = {"burst_ms": DAY_MS, "after_delivery_ms": DAY_MS, "near_ms": DAY_MS, "soon_ms": DAY_MS, "visit_ms": VISIT_MAX_MS}


def rules_of(text: str, others: Rules) -> Rules:
    """The rules of one source, from words such as ``burst_ms:500 after_delivery_ms:0``; the rest is as in ``others``.

    Raises ValueError with what was got and expected.
    """
    changed: dict[str, Any] = {}
    for word in text.split():
        name, _, number = word.partition(":")
        if name not in _TIMINGS:
            raise ValueError(f"got {word!r}, expected NAME:MILLISECONDS with a name of {' '.join(_TIMINGS)}")
        if not number.isdecimal() or int(number) > _TIMINGS[name]:
            raise ValueError(f"got {word!r}, expected {name}:MILLISECONDS, at most {_TIMINGS[name]}")
        changed[name] = int(number)
    return replace(others, **changed)


class Click(msgspec.Struct, array_like=True):
    """One click; ``link`` is a checksum of its url, ``machine`` whether it is known to be a machine's.

    ``visited``: whether a visit followed; None: not known yet, or nobody asks.
    """

    time: int
    source: str
    id: str
    message: str
    link: int
    trap: bool
    machine: bool
    visited: bool | None = None


class Watched(msgspec.Struct, array_like=True):
    """What is remembered of one lead: its newest clicks in order, and when its newest messages were delivered."""

    clicks: list[Click] = []
    deliveries: list[tuple[int, str]] = []


class Verdict(NamedTuple):
    """A click is a machine's; ``reason`` is `burst`, `after_delivery` or `honeypot`, or its weak signs, such as `soon+unvisited`."""

    click: Click
    reason: str


def judge(watched: Watched, event: Event, rules: Rules) -> list[Verdict]:
    """Take an email event of the lead; gives the clicks of which it is now known that a machine made them, each once.

    The event's own click can be among them. An event that was judged before gives nothing new.
    """
    action, body = event.body.get("action"), event.body
    message = body.get("message_id") or body.get("campaign") or ""
    if action == "delivered" and body.get("message_id"):
        if (event.time, message) in watched.deliveries:
            return []
        insort(watched.deliveries, (event.time, message))
        del watched.deliveries[:-DELIVERIES_MAX]
    elif action == "click":
        if any(click.id == event.id and click.source == event.source for click in watched.clicks):
            return []
        url = body.get("url") or ""
        trap = any(text in url for text in rules.of(event.source).honeypots)
        click = Click(event.time, event.source, event.id, message, crc32(url.encode()) if url else 0, trap, event.machine)
        insort(watched.clicks, click, key=_order)
        del watched.clicks[:-CLICKS_MAX]
    else:
        return []
    _let_go(watched)
    return verdicts_on(watched, message, rules)


def verdicts_on(watched: Watched, message: str, rules: Rules) -> list[Verdict]:
    """The clicks on a message of which it is now known that a machine made them, each once."""
    clicks, deliveries = _of_message(watched, message)
    if len(clicks) == 1 and not deliveries and not clicks[0].trap:
        return []  # as it mostly is: one weak sign at most
    found = list(_verdicts(clicks, deliveries, rules))
    for verdict in found:
        verdict.click.machine = True
    return found


def weak_signs(watched: Watched, click: Click, rules: Rules) -> list[str]:
    """Those of a click, by name."""
    return _weak(click, *_of_message(watched, click.message), rules.of(click.source))


def _of_message(watched: Watched, message: str) -> tuple[list[Click], list[int]]:
    """What is remembered of a message: its clicks, and when it was delivered."""
    clicks = [click for click in watched.clicks if click.message == message]
    return clicks, [time for time, delivered in watched.deliveries if delivered == message]


def look(watched: Watched, event: Event, rules: Rules) -> tuple[Event, list[Event]]:
    """`judge` an event: gives it as it is to be applied, marked if it is a machine's, and the commands that mark earlier ones."""
    verdicts = judge(watched, event, rules)
    machines = [click for click in watched.clicks if click.machine]
    if machines and not event.machine and any((click.id, click.source) == (event.id, event.source) for click in machines):
        event = msgspec.structs.replace(event, machine=True)  # also when it comes again
    earlier = [verdict for verdict in verdicts if (verdict.click.id, verdict.click.source) != (event.id, event.source)]
    return event, [command_of(verdict, event.lead, event.time) for verdict in earlier]


def command_of(verdict: Verdict, lead: str, time: int) -> Event:
    """The command that marks the click of a verdict, as an event of its lead at a time (epoch milliseconds)."""
    click = verdict.click
    body = {"do": "machine_verdict", "event_source": click.source, "event_id": click.id, "reason": verdict.reason, "by": BY}
    digest = sha256(f"{click.source}\x1f{click.id}".encode()).hexdigest()[:32]
    return Event(BY, f"machine {digest}", "command", time, lead, body)


def _verdicts(clicks: Sequence[Click], deliveries: Sequence[int], rules: Rules) -> Iterator[Verdict]:
    """Those on clicks that are not known to be a machine's."""
    for click in clicks:
        if click.machine:
            continue
        own = rules.of(click.source)
        if click.trap or any(other.trap and abs(other.time - click.time) <= TRAPPED_MS for other in clicks):
            yield Verdict(click, "honeypot")
        elif own.burst_ms and any(_together(click, other, own.burst_ms) for other in clicks):
            yield Verdict(click, "burst")
        elif own.after_delivery_ms and any(-BEFORE_DELIVERY_MS <= click.time - time < own.after_delivery_ms for time in deliveries):
            yield Verdict(click, "after_delivery")
        elif len(signs := _weak(click, clicks, deliveries, own)) >= WEAK_NEEDED:
            yield Verdict(click, "+".join(signs))


def _weak(click: Click, clicks: Sequence[Click], deliveries: Sequence[int], own: Rules) -> list[str]:
    soon = own.soon_ms and any(-BEFORE_DELIVERY_MS <= click.time - time < own.soon_ms for time in deliveries)
    unvisited = own.visit_ms and click.visited is False
    signs = []
    # The costly one last, and only where it can matter.
    if own.near_ms and (soon or own.visit_ms) and any(_together(click, other, own.near_ms) for other in clicks):
        signs.append("near")
    if soon:
        signs.append("soon")
    if unvisited:
        signs.append("unvisited")
    return signs


def _together(click: Click, other: Click, within_ms: int) -> bool:
    """Whether two clicks are on different links, and so close to each other that one person hardly made both."""
    return click.link != other.link and 0 not in (click.link, other.link) and abs(click.time - other.time) <= within_ms


def _let_go(watched: Watched) -> None:
    clicks, deliveries = watched.clicks, watched.deliveries
    newest = max(clicks[-1].time if clicks else 0, deliveries[-1][0] if deliveries else 0)
    if clicks and clicks[0].time < newest - KEPT_MS:
        watched.clicks = [click for click in clicks if click.time >= newest - KEPT_MS]
    if deliveries and deliveries[0][0] < newest - KEPT_MS:
        watched.deliveries = [each for each in deliveries if each[0] >= newest - KEPT_MS]


def _order(click: Click) -> tuple[int, str, str]:
    return (click.time, click.source, click.id)
