"""How well mail scanners are told from people, on labelled clicks: `python -m tests.bench.machines`.

The timings are those that senders and gateways publish: most scanners click within 5 seconds of the delivery, all links within 1 to 5
seconds; some wait for minutes, up to half an hour, and then click all links; a few try one link alone. People take minutes to hours,
click one link or two, sometimes twice the same, and once in a while open two tabs at once or sit waiting for the message. The shares
are guesses, and said in the table; providers' clocks tell whole seconds for half of the messages. Of people's visits `VISITS_KNOWN`
are known: the others gave no consent, block scripts or are visitors nobody knows. Machines are not seen to visit.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator

from mqlstream.core.event import Event
from mqlstream.ingest.machines import Rules, Watched, judge
from mqlstream.ingest.unvisited import look_for_visits

START = 1_793_610_000_000
MESSAGES = 40_000
MINUTE = 60_000
TRAP = "/unseen"
VISITS_KNOWN = 0.7
VISIT_MS = 6 * 60 * MINUTE
SHARES = {  # of the messages that are clicked at all, in percent
    "gateway: all links at once": 18,
    "gateway: one after the other": 8,
    "gateway: one link": 2,
    "sandbox: all links, minutes later": 5,
    "sandbox: one link, minutes later": 1,
    "person: one link": 50,
    "person: two links": 12,
    "person: the same link twice": 2.5,
    "person: two tabs at once": 0.8,
    "person: within seconds": 0.7,
}


def message(rng: random.Random, number: int, family: str) -> Iterator[Event]:
    """A delivery and the clicks of one family on it."""
    links = rng.randrange(3, 9)
    delivered = START + number * 1_000 + rng.randrange(1_000)
    coarse = rng.random() < 0.5
    what, _, how = family.partition(": ")
    if what == "person":
        first = int(min(max(rng.lognormvariate(3.7, 1.6) * MINUTE, 6_000), 5 * 24 * 60 * MINUTE))
        waits = {
            "one link": [first],
            "two links": [first, first + rng.randrange(4_000, 10 * MINUTE)],
            "the same link twice": [first, first + rng.randrange(150, 1_500)],
            "two tabs at once": [first, first + rng.randrange(400, 2_000)],
            "within seconds": [rng.randrange(2_500, 6_000)],
        }[how]
        chosen = [0, 0] if how == "the same link twice" else rng.sample(range(links), len(waits))
    else:
        begin = rng.randrange(MINUTE, 30 * MINUTE) if what == "sandbox" else rng.randrange(-1_000, 4_000)
        gap = 1_600 if how == "one after the other" else 400
        chosen = [rng.randrange(links)] if how.startswith("one link") else rng.sample([*range(links), links], links + 1)
        waits = [begin + place * rng.randrange(20, gap) for place in range(len(chosen))]

    def event(action: str, at_ms: int, link: int) -> Event:
        at_ms = at_ms // 1_000 * 1_000 if coarse else at_ms
        url = f"https://acme.example{TRAP}" if link == links else f"https://acme.example/{link}"
        body = {"action": action, "message_id": f"m{number}"} | ({"url": url} if action == "click" else {})
        return Event("mailer", f"{action} {number} {link} {at_ms} {rng.random()}", "email_click", at_ms, f"lead-{number}", body)

    yield event("delivered", delivered, 0)
    for wait, link in zip(waits, chosen, strict=True):
        yield event("click", delivered + wait, link)


def measure(rules: Rules, messages: int = MESSAGES, seed: int = 7) -> tuple[Counter[str], Counter[str], float]:
    """By family: clicks, and those found to be a machine's; and microseconds per event."""
    rng = random.Random(seed)
    clicks: Counter[str] = Counter()
    caught: Counter[str] = Counter()
    spent, events_seen = 0.0, 0
    for number, family in enumerate(rng.choices([*SHARES], [*SHARES.values()], k=messages)):
        events = list(message(rng, number, family))
        rng.shuffle(events)
        watched = Watched()
        clicks[family] += len(events) - 1
        begun = time.perf_counter()
        for event in events:
            caught[family] += len(judge(watched, event, rules))
        if rules.wait_for_visits:
            person = family.startswith("person")
            visits = [click.time + 2_000 for click in watched.clicks if person and rng.random() < VISITS_KNOWN]
            caught[family] += len(look_for_visits(watched, f"lead-{number}", 2**53, visits, rules))
        spent += time.perf_counter() - begun
        events_seen += len(events)
    return clicks, caught, spent / events_seen * 1e6


def figures(clicks: Counter[str], caught: Counter[str]) -> tuple[float, float]:
    """Precision and recall of the clicks."""
    machines = [family for family in SHARES if not family.startswith("person")]
    hits = sum(caught[family] for family in machines)
    return hits / caught.total(), hits / sum(clicks[family] for family in machines)


def main() -> None:
    for title, rules in (
        ("burst and delivery (defaults)", Rules()),
        ("with a honeypot in each message", Rules(honeypots=(TRAP,))),
        ("no visit within 6 h as a third weak sign", Rules(visit_ms=VISIT_MS)),
        ("the same, and soon means half an hour", Rules(visit_ms=VISIT_MS, soon_ms=30 * MINUTE)),
        ("without weak signs", Rules(near_ms=0, soon_ms=0)),
        ("burst alone", Rules(after_delivery_ms=0, near_ms=0, soon_ms=0)),
        ("delivery alone", Rules(burst_ms=0, near_ms=0, soon_ms=0)),
    ):
        clicks, caught, us = measure(rules)
        precision, recall = figures(clicks, caught)
        print(f"{title}: precision {precision:.4f}, recall {recall:.4f}, {us:.1f} us an event")
        if rules == Rules():
            for family, share in SHARES.items():
                print(f"    {family:<36} {share:>5} %  {clicks[family]:>7} clicks, {caught[family] / clicks[family]:>6.1%} found")


if __name__ == "__main__":
    main()
