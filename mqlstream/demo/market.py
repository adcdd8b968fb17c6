"""The simulated market: buyers, readers, students, competitors and bots, and every touch they leave behind.

Deterministic by seed: the same people do the same things with the same ids, at the same moments of the run. Nothing
here connects to anything, and nothing here knows how a touch is scored.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mqlstream.demo.people import BUYER_TITLES, COMPANIES, EXPERT_TITLES, READER_TITLES, RIVALS, UNIVERSITY, Person, meet

SEED = 20261101
WEBINAR = "pipeline-you-can-trust"
CAMPAIGN = "autumn-update"


@dataclass(frozen=True, slots=True)
class Touch:
    """One record that a platform team's system writes ``at_ms`` after the market opens.

    ``topic`` is the topic's key in topics.yaml. ``body`` is a canonical event without its time, which is the moment of
    writing; or bytes, when the system that wrote it is broken.
    """

    at_ms: int
    topic: str
    key: bytes | None
    body: dict[str, Any] | bytes


class _Diary:
    """What one person does, in order. ``pace_ms`` is a short while in this market."""

    def __init__(self, person: Person, rng: random.Random, at_ms: float, pace_ms: float, webinar_ms: float) -> None:
        self.person = person
        self.rng = rng
        self.at_ms = at_ms
        self.pace_ms = pace_ms
        self.webinar_ms = webinar_ms
        self.known = False  # has left an address, so that sites recognise the cookie
        self.touches: list[Touch] = []

    def wait(self, shortest: float, longest: float) -> None:
        self.at_ms += self.rng.uniform(shortest, longest) * self.pace_ms

    def write(self, topic: str, source: str, key: str | None, body: dict[str, Any]) -> None:
        event_id = f"{source}-{self.person.number:05d}-{len(self.touches):03d}"
        event = {"id": event_id, "source": source, **body}
        self.touches.append(Touch(int(self.at_ms), topic, key.encode() if key else None, event))

    def who(self) -> dict[str, Any]:
        cookie = {"anonymous_id": self.person.cookie}
        return {**cookie, "email": self.person.email} if self.known else cookie

    def visit(self, path: str, seconds: int = 30, **more: Any) -> None:
        self.wait(0.3, 1.0)
        url = f"https://www.acme.example{path}"
        self.write("web_visits", "site", self.person.cookie, {**self.who(), "url": url, "duration_seconds": seconds, **more})

    def fill(self, form: str) -> None:
        self.wait(0.3, 0.8)
        person = self.person
        fields = {"first_name": person.first_name, "company": person.company.name, "comment": "please"}
        first, self.known = not self.known, True
        self.write("form_fills", "forms", None, {**self.who(), "form": form, "fields": fields})
        if first:
            self.wait(0.05, 0.2)
            self.profile()

    def profile(self, **more: Any) -> None:
        self.known = True
        self.write("profiles", "crm", self.person.email, {"email": self.person.email, "attributes": {**self.person.attributes(), **more}})

    def mail(self, *actions: str, campaign: str = CAMPAIGN, machine: bool = False) -> None:
        for action in actions:
            self.wait(0.1, 0.5)
            flag = {"machine": True} if machine else {}
            body = {"email": self.person.email, "action": action, "campaign": campaign, **flag}
            self.write("email_clicks", "mailer", self.person.email, body)

    def act(self, name: str, **properties: Any) -> None:
        self.wait(0.2, 0.8)
        self.write("activities", "app", None, {**self.who(), "name": name, "properties": properties})

    def webinar(self, chance: float) -> None:
        """Register, be reminded, and come to the one webinar of the market, or watch it afterwards."""
        if self.at_ms >= self.webinar_ms:
            if self.rng.random() < chance:
                self._webinar("watched_on_demand")
            return
        self._webinar("registered")
        self.mail("delivered")
        self.at_ms = max(self.at_ms, self.webinar_ms - self.pace_ms)
        self.mail("delivered", "open", campaign="webinar-reminder")
        self.at_ms = max(self.at_ms, self.webinar_ms + self.rng.uniform(0, 0.3) * self.pace_ms)
        if self.rng.random() < chance:
            self._webinar("attended", attended_seconds=self.rng.randint(600, 3300))
        else:
            self._webinar("no_show")

    def _webinar(self, action: str, **more: Any) -> None:
        self.wait(0.1, 0.3)
        body = {"email": self.person.email, "webinar": WEBINAR, "action": action, **more}
        self.write("webinar_attendance", "webinars", self.person.email, body)


def _evaluator(diary: _Diary) -> None:
    """Has a budget and compares: reads anonymously, leaves an address for the guide, looks at prices, asks for a demo."""
    diary.visit("/")
    diary.visit("/product/scoring", 45)
    diary.visit("/pricing", diary.rng.randint(20, 90))
    diary.fill("buyers-guide")
    diary.act("content_download", asset="buyers-guide")
    diary.visit("/customers", 40)
    diary.visit("/pricing?plan=team", diary.rng.randint(15, 60))
    diary.fill("demo-request")


def _researcher(diary: _Diary) -> None:
    """Learns for weeks, here for seconds: papers, mails, the webinar; many end up convinced."""
    diary.visit("/blog/what-is-an-mql", 120)
    diary.fill("whitepaper")
    if diary.rng.random() < 0.5:
        diary.act("content_download", asset="whitepaper")
    diary.mail("delivered", "open")
    if diary.rng.random() < 0.7:
        diary.mail("click")
        diary.visit("/product/journeys", 35, utm={"source": "mail", "campaign": CAMPAIGN})
    diary.webinar(chance=0.75)
    if diary.rng.random() < 0.6:
        diary.visit("/pricing", diary.rng.randint(5, 60))
    if diary.rng.random() < 0.3:
        diary.act("chat", topic="pricing")


def _reader(diary: _Diary) -> None:
    """Follows the blog and the newsletter, and buys nothing."""
    for _ in range(diary.rng.randint(1, 3)):
        diary.visit(f"/blog/post-{diary.rng.randint(1, 40)}", diary.rng.randint(5, 200))
    if diary.rng.random() < 0.6:
        diary.fill("newsletter")
        diary.act("subscription", list="newsletter")
        diary.mail("delivered", *(("open",) if diary.rng.random() < 0.5 else ()))
        if diary.rng.random() < 0.1:
            diary.mail("unsubscribe")


def _student(diary: _Diary) -> None:
    """Writes a thesis about us."""
    diary.fill("whitepaper")
    for _ in range(3):
        diary.act("content_download", asset=f"paper-{diary.rng.randint(1, 9)}")
    diary.visit("/pricing", 30)
    diary.webinar(chance=0.9)


def _applicant(diary: _Diary) -> None:
    """Wants a job."""
    diary.visit("/careers")
    diary.visit("/careers/engineer", 180)
    diary.fill("newsletter")
    diary.visit("/about")


def _competitor(diary: _Diary) -> None:
    """Looks at everything, and even asks for a demo."""
    diary.visit("/pricing", 300)
    diary.fill("buyers-guide")
    diary.visit("/product/scoring", 240)
    diary.webinar(chance=1.0)
    diary.fill("demo-request")


def _customer(diary: _Diary) -> None:
    """Has bought already."""
    diary.profile(customer=True)
    for _ in range(3):
        diary.act("product_use", feature=diary.rng.choice(("rules", "reports", "export")))
    diary.visit("/pricing", 60)


def _scanner(diary: _Diary) -> None:
    """A mail gateway that follows every link of every mail before its human sees it."""
    diary.known = True
    diary.mail("delivered", "open", "click", "click", "click", machine=True)
    diary.visit("/pricing", 12, machine=True, user_agent="linkcheck/2.1")


# Persona, its share of the market, and who it is.
_PERSONAS: tuple[tuple[Callable[[_Diary], None], int, tuple[str, ...], tuple[Any, ...]], ...] = (
    (_evaluator, 7, BUYER_TITLES, COMPANIES),
    (_researcher, 20, (*EXPERT_TITLES, *READER_TITLES), COMPANIES),
    (_reader, 45, READER_TITLES, COMPANIES),
    (_student, 6, ("Student",), (UNIVERSITY,)),
    (_applicant, 5, READER_TITLES, COMPANIES),
    (_competitor, 5, BUYER_TITLES, RIVALS),
    (_customer, 5, EXPERT_TITLES, COMPANIES),
    (_scanner, 7, EXPERT_TITLES, COMPANIES),
)

# What broken systems write: each ends in the dead letters, with another reason.
_BROKEN = (
    ("web_visits", b"<html>502 Bad Gateway</html>"),
    ("form_fills", b"[1, 2, 3]"),
    ("email_clicks", b'{"id": "b-1", "email": "ann@broken.example", "action": "click"}'),
    ("activities", b'{"id": "b-2", "time": "yesterday", "email": "ann@broken.example", "name": "chat"}'),
    ("profiles", b'{"id": "b-3", "time": 1793610000000, "email": "ann@broken.example", "attributes": "none"}'),
    ("web_visits", b""),
)


def market(leads: int, seconds: float, seed: int = SEED) -> list[Touch]:
    """All touches of ``leads`` people within ``seconds``, in the order of their moments."""
    touches = [touch for number in range(leads) for touch in _life(number, seconds * 1000, seed)]
    rng = random.Random(f"{seed}/again")
    # Systems that write at least once write some things twice.
    touches += [Touch(touch.at_ms + rng.randint(5, 500), touch.topic, touch.key, touch.body) for touch in touches if rng.random() < 0.01]
    for number in range(max(len(_BROKEN), leads // 40)):
        topic, value = _BROKEN[number % len(_BROKEN)]
        touches.append(Touch(rng.randint(0, int(seconds * 900)), topic, None, value))
    return sorted((touch for touch in touches if touch.at_ms < seconds * 1000), key=lambda touch: touch.at_ms)


def _life(number: int, run_ms: float, seed: int) -> Iterator[Touch]:
    """One person's touches. The first one of all is an evaluator in a hurry, so that there is something to see soon."""
    rng = random.Random(f"{seed}/{number}")
    persona = _PERSONAS[0] if number == 0 else rng.choices(_PERSONAS, [share for _, share, _, _ in _PERSONAS])[0]
    live, _, titles, companies = persona
    start_ms = 0.0 if number == 0 else rng.uniform(0, run_ms * 0.7)
    pace_ms = min(run_ms * 0.03, 2000) * (0.2 if number == 0 else 1)
    diary = _Diary(meet(number, rng, titles, companies), rng, start_ms, pace_ms, webinar_ms=run_ms * 0.6)
    live(diary)
    yield from diary.touches
