"""`mqlstream backtest`: the whole door. Its oracle is `mqlstream score` under each of the two definitions by itself."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mqlstream.app.insights.counting import Book
from mqlstream.app.insights.facts import fact_of
from mqlstream.app.insights.report import Window, report
from mqlstream.handoff.contract import HandoffEvent
from tests.cli.conftest import run_here
from tests.kafka.traffic import events as traffic

OLD = """\
definition: first
version: 1
timezone: Europe/Berlin
rules:
  - {id: pricing, label: Looked at pricing, on: web_visit, where: {path: {prefix: /pricing}}, points: 20}
  - {id: demo, label: Asked for a demo, on: form_fill, where: {form: demo}, points: 80}
qualify: {threshold: {total: 100}}
"""
NEW = OLD.replace("version: 1", "version: 2").replace("points: 20", "points: 40").replace("points: 80", "points: 50")
MONDAY = 1_793_610_000_000  # 2026-11-02T09:00:00Z
HOUR = 3_600_000
DAY = 24 * HOUR
WORDS = ["accepted", "rejected", "recycled", "qualified", "opportunity", "won", "lost", "disqualified"]
Json = dict[str, Any]


class Diary:
    """Events of leads, written down as they come to mind."""

    def __init__(self) -> None:
        self.events: list[Json] = []

    def add(self, lead: str, day: float, kind: str, **fields: Any) -> None:
        self.events.append(
            {"id": f"e{len(self.events)}", "source": "web", "kind": kind, "time": MONDAY + int(day * DAY), "lead_id": lead, **fields}
        )

    def visit(self, lead: str, *days: float) -> None:
        for day in days:
            self.add(lead, day, "web_visit", path="/pricing")

    def demo(self, lead: str, day: float) -> None:
        self.add(lead, day, "form_fill", form="demo")

    def answer(self, lead: str, day: float, decision: str, **fields: Any) -> None:
        self.add(lead, day, "feedback", decision=decision, **fields)


def quarter() -> list[Json]:
    """One lead of each change; `stays` is accepted, `stops` too, `later` rejected."""
    diary = Diary()
    diary.visit("becomes", 0, 1, 2)
    diary.demo("stops", 0)
    diary.visit("stops", 1)
    diary.demo("stays", 3)
    diary.visit("stays", 3.01, 3.02)
    diary.demo("later", 0)
    diary.visit("later", 1, 9)
    diary.visit("never", 0)
    diary.answer("stays", 4, "accepted")
    diary.answer("stays", 5, "won")
    diary.answer("stops", 2, "qualified")
    diary.answer("later", 3, "rejected", definition="first")
    return diary.events


def lines(events: list[Json]) -> str:
    return "".join(json.dumps(each) + "\n" for each in events)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("MQLSTREAM_DEFINITIONS", "MQLSTREAM_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "new.yaml").write_text(NEW)
    (tmp_path / "hard.yaml").write_text(HARD)
    (tmp_path / "events.jsonl").write_text(lines(quarter()))
    return tmp_path


BOTH = ("backtest", "--definition", "new.yaml", "--against", "old.yaml")


def result(*arguments: str, stdin: str = "", exit_code: int = 0) -> Json:
    done = run_here(*arguments, "--format", "json", stdin=stdin)
    assert done.returncode == exit_code, done.stderr
    found: Json = json.loads(done.stdout)
    return found


def changes(found: Json) -> dict[str, tuple[str, int | None]]:
    return {row["lead_id"]: (row["change"], row["days"]) for row in found["leads"]}


def test_each_change_is_told_with_its_days_and_its_reasons() -> None:
    found = result(*BOTH, "events.jsonl")
    assert changes(found) == {"becomes": ("becomes", None), "stops": ("stops", None), "later": ("moves", 8), "stays": ("stays", 0)}
    rows = {row["lead_id"]: row for row in found["leads"]}
    pricing = {"what": "rule", "name": "pricing", "label": "Looked at pricing"}
    demo = {"what": "rule", "name": "demo", "label": "Asked for a demo"}
    assert rows["becomes"]["old"] is None
    assert rows["becomes"]["new"]["qualified_at"] == MONDAY + 2 * DAY
    assert rows["becomes"]["new"]["score"]["total"] == 120
    assert rows["becomes"]["reasons"] == [{**pricing, "old": 60.0, "new": 120.0}]
    assert rows["stops"]["reasons"] == rows["later"]["reasons"] == [{**demo, "old": 80.0, "new": 50.0}]
    assert rows["stays"]["reasons"] == []
    assert rows["later"]["old"]["qualified_again_at"] == [MONDAY + 9 * DAY], "rejected, and back with the next visit"


def test_the_sums_are_by_change_and_by_week() -> None:
    found = result(*BOTH, "events.jsonl")
    assert [found["new"]["version"], found["old"]["version"]] == [2, 1]
    assert found["summary"] == {
        **dict.fromkeys(("becomes", "stops", "moves", "stays"), 1),
        "median_days_moved": 8,
        "mqls": {"old": 4, "new": 3},
        "weeks": [
            {"week": "2026-W45", "monday": "2026-11-02", "old": 3, "new": 2},
            {"week": "2026-W46", "monday": "2026-11-09", "old": 1, "new": 1},
        ],
    }


def test_precision_recall_and_lift_stand_side_by_side() -> None:
    found = result(*BOTH, "events.jsonl")["feedback"]
    names = ("mqls", "accepted", "rejected", "unanswered", "precision", "accepted_leads", "accepted_leads_found", "recall")
    assert found["old"] == dict(zip(names, (4, 2, 1, 1, 0.6667, 2, 2, 1.0)))
    assert found["new"] == dict(zip(names, (3, 1, 1, 1, 0.5, 2, 1, 0.5)))
    demo = next(line for line in found["rules"] if line["rule"] == "demo")
    assert demo["old"] == {"mqls": 4, "accepted": 2, "rejected": 1, "customers": 1, "acceptance": 0.6667, "lift": 1.0}
    assert demo["new"] == {"mqls": 2, "accepted": 1, "rejected": 1, "customers": 1, "acceptance": 0.5, "lift": 1.0}


def test_the_table_leaves_out_who_stays_and_the_sums_go_to_stderr() -> None:
    done = run_here(*BOTH, "events.jsonl")
    table = done.stdout.partition("\nsales' answers\n")[0].splitlines()
    assert [line.split()[:2] for line in table] == [["LEAD", "CHANGE"], ["becomes", "becomes"], ["stops", "stops"], ["later", "moves"]]
    assert "2026-11-04 10:00" in table[1], "in the definition's time zone"
    assert table[1].endswith("Looked at pricing 60 -> 120")
    assert done.stderr.splitlines()[2:] == [
        "16 events: 14 scored, 2 ignored(out_of_turn)",
        "leads: 1 becomes, 1 stops, 1 moves, 1 stays; of those that move, the median by +8 days",
        "MQLs by week, old and new:",
        "  2026-W45 from 2026-11-02       3       2",
        "  2026-W46 from 2026-11-09       1       1",
    ]


def test_input_in_any_order_gives_the_same_bytes(folder: Path) -> None:
    (folder / "old.yaml").write_text(HARD)
    (folder / "new.yaml").write_text(HARD.replace("points: 35", "points: 30"))
    events = hard(7)
    events += [{**event, "title": "seen again"} for event in events[:20]]  # the same ids with another content
    outputs = set()
    for seed in range(4):
        random.Random(seed).shuffle(events)
        for format_ in ("table", "json", "jsonl"):
            done = run_here(*BOTH, "-", "--format", format_, "--html", "report.html", stdin=lines(events))
            outputs.add((format_, done.stdout, (folder / "report.html").read_text()))
    assert len(outputs) == 3


def test_json_lines_are_the_rows() -> None:
    done = run_here(*BOTH, "events.jsonl", "--format", "jsonl")
    assert [json.loads(line) for line in done.stdout.splitlines()] == result(*BOTH, "events.jsonl")["leads"]


def outputs(definition: str, events: list[Json]) -> list[Json]:
    """What `score` tells."""
    done = run_here("score", "--definition", definition, "-", stdin=lines(events))
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def handoffs(definition: str, events: list[Json]) -> list[Json]:
    return [row["data"] for row in outputs(definition, events) if row["type"] == "mqlstream.lead.became_mql.v1"]


def first_mqls(definition: str, events: list[Json]) -> dict[str, int]:
    """When each lead first became an MQL."""
    found: dict[str, int] = {}
    for data in handoffs(definition, events):
        found.setdefault(data["lead_id"], data["qualified_at"])
    return found


def expected(events: list[Json]) -> dict[str, tuple[str, int | None]]:
    """Who changes how, from what `score` tells of each definition; in UTC."""
    old, new = first_mqls("old.yaml", events), first_mqls("new.yaml", events)
    found: dict[str, tuple[str, int | None]] = {}
    for lead in {*old, *new}:
        if lead not in old or lead not in new:
            found[lead] = ("becomes" if lead in new else "stops", None)
            continue
        before, after = (datetime.fromtimestamp(side[lead] / 1000, UTC).toordinal() for side in (old, new))
        found[lead] = ("moves" if after != before else "stays", after - before)
    return found


HARD = """\
definition: hard
version: 1
dimensions: {engagement: {cap: 150}}
rules:
  - {id: visit, on: web_visit, points: 12, limit: {count: 3, per: 7d}, decay: {half_life: 20d}}
  - {id: form, on: form_fill, points: 35, decay: {half_life: 30d}}
  - {id: click, on: email_click, where: {action: click}, points: 8}
  - {id: webinar, on: webinar_attendance, points: 15, decay: {expire_after: 30d}}
inactivity: [{id: idle, after: 10d, points: -15}]
qualify: {threshold: {total: 60}, rearm: {below: 40, cooldown: 2d}, recycle: {set: {engagement: 0}, cooldown: 3d}}
"""


def hard(seed: int) -> list[Json]:
    """Thirty leads over weeks, with commands and visits of nobody; sales answers most handoffs of `HARD`. Out of order."""
    rng = random.Random(seed)
    events = traffic(rng, 500, 30, MONDAY)
    for number, data in enumerate(handoffs("hard.yaml", events)):
        for again in range(rng.randrange(3)):
            said = {"decision": rng.choice(WORDS), "lead_id": data["lead_id"], "time": data["as_of"] + rng.randrange(1, 3 * DAY)}
            said |= rng.choice(({}, {"definition": "hard"}, {"handoff_id": data["handoff_id"]}))
            events.append({"id": f"a{number}-{again}", "source": "crm", "kind": "feedback", **said})
    rng.shuffle(events)
    return events


@pytest.mark.parametrize("seed", range(4))
def test_changes_are_those_that_scores_of_both_by_themselves_tell(folder: Path, seed: int) -> None:
    (folder / "old.yaml").write_text(HARD)
    (folder / "new.yaml").write_text(
        HARD.replace("points: 12", "points: 9").replace("points: 15,", "points: 30,").replace("total: 60", "total: 55")
    )
    events = hard(seed)
    found = result(*BOTH, "-", stdin=lines(events))
    assert changes(found) == expected(events)
    assert len({change for change, _ in changes(found).values()}) >= 2, "a test of nothing"
    assert all(row["reasons"] for row in found["leads"] if row["change"] in ("becomes", "stops"))


@pytest.mark.parametrize("seed", range(4))
def test_the_figures_of_the_definition_in_force_are_those_of_insights(folder: Path, seed: int) -> None:
    (folder / "old.yaml").write_text(HARD)
    (folder / "new.yaml").write_text(HARD.replace("version: 1", "version: 2").replace("points: 12", "points: 9"))
    events = hard(seed)
    book = Book()
    for row in outputs("old.yaml", events):
        fact = fact_of(HandoffEvent(row["type"], row["id"], "", row["lead_id"], row["time"], row["data"]))
        if fact is not None:
            book.add(row["id"], fact)
    (insights,) = report(book.days, Window())["definitions"]
    found = result(*BOTH, "-", stdin=lines(events))["feedback"]
    assert found["old"]["mqls"] == insights["funnel"]["mql"]
    assert book.totals["hard"]["answer:accepted"] + book.totals["hard"]["answer:rejected"] > 3, "a test of nothing"
    told = {line["rule"]: {"rule": line["rule"], **line["old"]} for line in found["rules"] if line["old"]}
    assert told == {line["rule"]: line for line in insights["rules"]}


def test_without_an_old_definition_every_mql_becomes_one(folder: Path) -> None:
    found = result("backtest", "--definition", "new.yaml", "events.jsonl")
    assert found["old"] is found["feedback"]["old"] is found["summary"]["mqls"]["old"] is None
    assert changes(found) == dict.fromkeys(("becomes", "later", "stays"), ("becomes", None))
    (row,) = [row for row in found["leads"] if row["lead_id"] == "later"]
    assert [(each["name"], each["old"], each["new"]) for each in row["reasons"]] == [("pricing", None, 80.0), ("demo", None, 50.0)]
    table = run_here("backtest", "--definition", "new.yaml", "events.jsonl")
    assert table.stdout.splitlines()[0].split() == ["LEAD", "CHANGE", "NEW", "NEW", "TOTAL", "DAYS", "REASONS"]
    assert "old: none, so every MQL is told as one that becomes\n" in table.stderr


def test_the_old_definition_is_the_one_in_force_of_the_same_id(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "live").mkdir()
    (folder / "live" / "old.yaml").write_text(OLD)
    (folder / "live" / "other.yaml").write_text(OLD.replace("definition: first", "definition: other"))
    monkeypatch.setenv("MQLSTREAM_DEFINITIONS", "live")
    found = result("backtest", "--definition", "new.yaml", "events.jsonl")
    assert found == result(*BOTH, "events.jsonl")
    (folder / "unknown.yaml").write_text(NEW.replace("definition: first", "definition: unknown"))
    assert result("backtest", "--definition", "unknown.yaml", "events.jsonl")["old"] is None


def test_a_shadow_that_is_not_active_yet_is_tried_as_if_it_were_in_force(folder: Path) -> None:
    (folder / "shadow.yaml").write_text(NEW + "mode: shadow\nactive: {from: 2030-01-01}\n")
    done = run_here("backtest", "--definition", "shadow.yaml", "--against", "old.yaml", "events.jsonl", "--format", "json")
    assert json.loads(done.stdout)["leads"] == result(*BOTH, "events.jsonl")["leads"]
    assert "its mode and active are left out of account" in done.stderr


def test_another_threshold_and_another_disqualification_are_told_as_reasons(folder: Path) -> None:
    (folder / "new.yaml").write_text(OLD.replace("total: 100", "total: 60") + "disqualify: [{id: ours, where: {title: Partner}}]\n")
    diary = Diary()
    diary.visit("ann", 0, 1, 2)
    diary.add("bob", 0, "profile", attributes={"title": "Partner"})
    diary.demo("bob", 1)
    diary.visit("bob", 2)
    rows = {row["lead_id"]: row for row in result(*BOTH, "-", stdin=lines(diary.events))["leads"]}
    assert rows["ann"]["reasons"] == [{"what": "threshold", "name": "total", "label": "total", "old": 100.0, "new": 60.0}]
    told = {"what": "stage", "name": "disqualified", "label": "disqualified", "old": "mql", "new": "disqualified"}
    assert (rows["bob"]["change"], rows["bob"]["reasons"]) == ("stops", [told])
    table = run_here(*BOTH, "-", stdin=lines(diary.events)).stdout
    assert [line.rpartition("  ")[2] for line in table.splitlines()] == ["REASONS", "threshold of total 100 -> 60", "mql -> disqualified"]


def test_definitions_of_two_names_share_sales_answers(folder: Path) -> None:
    (folder / "new.yaml").write_text(NEW.replace("definition: first", "definition: second"))
    told = result(*BOTH, "events.jsonl")["feedback"]["new"]
    (folder / "new.yaml").write_text(NEW)
    assert told == result(*BOTH, "events.jsonl")["feedback"]["new"]


def test_answers_about_a_definition_that_is_not_asked_for_are_left_out(folder: Path) -> None:
    events = [{**event, "definition": "third"} if event["kind"] == "feedback" else event for event in quarter()]
    done = run_here(*BOTH, "-", "--format", "json", stdin=lines(events))
    assert json.loads(done.stdout)["feedback"] is None
    assert "4 answers of sales are about other definitions and left out of account\n" in done.stderr


def test_an_answer_that_comes_twice_counts_once(folder: Path) -> None:
    events = quarter()
    again = [event for event in events if event["kind"] == "feedback"]
    assert result(*BOTH, "-", stdin=lines([*events, *again])) == result(*BOTH, "-", stdin=lines(events))


def test_visits_of_a_visitor_count_for_the_lead_it_turns_out_to_be(folder: Path) -> None:
    diary = Diary()
    diary.visit("x", 0, 0.5, 1)
    for visit in diary.events:
        visit["anonymous_id"] = "c"
        del visit["lead_id"]
    diary.add("ann", 1, "profile", anonymous_id="c", attributes={})
    (folder / "events.jsonl").write_text(lines(diary.events))
    [row] = result(*BOTH, "events.jsonl")["leads"]
    assert (row["lead_id"], row["new"]["score"]["total"]) == ("ann", 120.0)


def test_an_erased_lead_is_told_nowhere(folder: Path) -> None:
    diary = Diary()
    diary.events = quarter()
    diary.add("stops", 8, "command", do="erase")
    done = run_here(*BOTH, "-", "--html", "report.html", "--format", "json", stdin=lines(diary.events))
    found = json.loads(done.stdout)
    assert "stops" not in changes(found)
    assert found["feedback"]["old"]["accepted_leads"] == 1
    assert ">stops<" not in (folder / "report.html").read_text().partition("Leads that")[2]


def test_unusable_lines_are_told_and_make_exit_1(folder: Path) -> None:
    (folder / "bad.jsonl").write_text('{"kind": "web_visit"}\nnonsense\n')
    done = run_here(*BOTH, "events.jsonl", "bad.jsonl", "--format", "json")
    assert done.returncode == 1
    assert [line.partition(": ")[0] for line in done.stderr.splitlines() if line.startswith("bad")] == ["bad.jsonl:1", "bad.jsonl:2"]
    assert json.loads(done.stdout)["leads"] == result(*BOTH, "events.jsonl")["leads"]


def test_no_events_give_an_empty_answer() -> None:
    found = result(*BOTH, "-")
    assert (found["leads"], found["feedback"], found["summary"]["weeks"]) == ([], None, [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "got neither --topic nor files of events, expected one of the two"),
        (["--topic", "events.jsonl"], "got both --topic and files of events, expected one of the two"),
        (["missing.jsonl"], "missing.jsonl: No such file or directory, expected a file of events, one JSON object a line"),
        (["events.jsonl", "--html", "nowhere/report.html"], "--html: cannot write nowhere/report.html: No such file or directory"),
        (["events.jsonl", "--html", "."], "--html: cannot write .: Is a directory"),
        (["events.jsonl", "--against", "missing.yaml"], "there is no file missing.yaml, expected a definition"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], message: str) -> None:
    done = run_here("backtest", "--definition", "new.yaml", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"Error: {message}"


def test_a_broker_that_is_not_there_makes_exit_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQLSTREAM_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    done = run_here(*BOTH, "--topic")
    assert (done.returncode, done.stdout) == (3, "")
    assert "Error: cannot reach Kafka at 127.0.0.1:1" in done.stderr
