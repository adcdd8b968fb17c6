"""`mqlstream score`: the whole door. What a score is, is tested in `tests.core` and `tests.oracle`."""

from __future__ import annotations

import json
import os
import pty
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run, run_here

FIRST = """\
definition: first
version: 1
dimensions: {engagement: {cap: 90}}
rules:
  - {id: pricing, label: Looked at pricing, on: web_visit, where: {path: {prefix: /pricing}}, points: 20, decay: {half_life: 7d}}
  - {id: demo, label: Asked for a demo, on: form_fill, where: {form: demo}, points: 80}
fit: [{id: decides, label: Decides, where: {title: {words_any: [vp]}}, points: 10}]
disqualify: [{id: rival, where: {email_domain: rival.example}}]
qualify: {threshold: {total: 100}}
"""
SECOND = """\
definition: second
version: 1
rules: [{id: visit, on: web_visit, points: 1}]
grades: {engagement: {A: 2, B: null}}
qualify: {threshold: {total: 2}}
"""
MONDAY = 1_793_610_000_000  # 2026-11-02T09:00:00Z
HOUR = 3_600_000
DAY = 24 * HOUR


def event(number: int, kind: str, at_ms: int, lead: str = "ann@acme.example", **fields: Any) -> dict[str, Any]:
    return {"id": f"e{number}", "source": "web", "kind": kind, "time": MONDAY + at_ms, "email": lead, **fields}


EVENTS = [
    event(1, "profile", 0, attributes={"title": "VP Marketing"}),
    event(2, "web_visit", HOUR, url="https://shop.example/pricing"),
    event(3, "web_visit", 7 * DAY + HOUR, url="https://shop.example/pricing"),
    event(4, "form_fill", 7 * DAY + 2 * HOUR, form="demo"),
    event(5, "web_visit", 8 * DAY, lead="bob@rival.example", path="/pricing"),
]


def lines(events: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(each) + "\n" for each in events)


@pytest.fixture
def mqlstream() -> Run:
    """The command in this process; the first test here starts one of its own."""
    return run_here


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands run where the files are, so that names in messages are as given."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "first.yaml").write_text(FIRST)
    (tmp_path / "second.yaml").write_text(SECOND)
    (tmp_path / "events.jsonl").write_text(lines(EVENTS))
    return tmp_path


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def told(text: str) -> list[tuple[str, str, str]]:
    """The type, lead and definition of each output event."""
    return [(row["type"].split(".")[-2], row["lead_id"], row["data"]["definition"]["id"]) for row in rows(text)]


def scores(text: str) -> dict[tuple[str, str], float]:
    return {(row["lead_id"], row["definition"]): row["score"]["total"] for row in rows(text)}


def test_a_process_prints_what_the_command_prints_here(mqlstream: Run) -> None:
    arguments = ("score", "--definition", "first.yaml", "-")
    process = subprocess.run(
        [sys.executable, "-m", "mqlstream", *arguments], input=lines(EVENTS), capture_output=True, text=True, timeout=60
    )
    here = mqlstream(*arguments, stdin=lines(EVENTS))
    assert (process.returncode, process.stdout, process.stderr) == (here.returncode, here.stdout, here.stderr)
    assert process.stdout.count("\n") == 2


def test_output_events_are_json_lines_and_the_rest_goes_to_stderr(mqlstream: Run) -> None:
    done = mqlstream("score", "--definition", "first.yaml", "events.jsonl")
    assert (done.returncode, done.stderr) == (0, "5 events: 5 scored\n")
    assert told(done.stdout) == [("became_mql", "ann@acme.example", "first"), ("stage_changed", "bob@rival.example", "first")]


def test_the_input_may_be_stdin(mqlstream: Run) -> None:
    from_file = mqlstream("score", "--definition", "first.yaml", "events.jsonl")
    assert mqlstream("score", "--definition", "first.yaml", "-", stdin=lines(EVENTS)).stdout == from_file.stdout


def test_several_files_are_put_in_order_together(mqlstream: Run, folder: Path) -> None:
    (folder / "visits.jsonl").write_text(lines([EVENTS[2], EVENTS[4], EVENTS[1]]))
    (folder / "profiles.jsonl").write_text(lines([EVENTS[0]]))
    whole = mqlstream("score", "--definition", "first.yaml", "events.jsonl")
    parts = mqlstream("score", "--definition", "first.yaml", "visits.jsonl", "-", "profiles.jsonl", stdin=lines([EVENTS[3]]))
    assert (parts.returncode, parts.stdout) == (0, whole.stdout)


def test_an_empty_input_gives_nothing(mqlstream: Run) -> None:
    done = mqlstream("score", "--definition", "first.yaml", "-", stdin="\n\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "0 events: none\n")


def test_the_order_of_lines_changes_no_byte_of_the_output(mqlstream: Run) -> None:
    twins = [
        event(6, "web_visit", 9 * DAY, lead="cat@acme.example", path="/pricing/a", session_id="x"),
        event(6, "web_visit", 9 * DAY, lead="cat@acme.example", path="/b", session_id="y"),  # another content: one of them counts
        event(7, "web_visit", 9 * DAY, lead="cat@acme.example", path="/pricing"),
        event(7, "web_visit", 9 * DAY, lead="dan@acme.example", path="/pricing"),
        *EVENTS,
        EVENTS[3],
    ]
    arguments = ("score", "--definition", "first.yaml", "--definition", "second.yaml")
    expected = {flag: mqlstream(*arguments, *flag, "-", stdin=lines(twins)) for flag in ((), ("--leads",))}
    for seed in range(3):
        shuffled = random.Random(seed).sample(twins, len(twins))
        for flag, done in expected.items():
            again = mqlstream(*arguments, *flag, "-", stdin=lines(shuffled))
            assert (again.returncode, again.stdout, again.stderr) == (0, done.stdout, done.stderr)
    assert expected[()].stderr == "10 events: 8 scored, 1 ignored(conflicting_duplicate), 1 ignored(duplicate)\n"
    assert len(rows(expected[()].stdout)) >= 3


def test_presorted_input_is_scored_as_it_streams(mqlstream: Run) -> None:
    whole = mqlstream("score", "--definition", "first.yaml", "events.jsonl")
    done = mqlstream("score", "--definition", "first.yaml", "--presorted", "events.jsonl")
    assert (done.returncode, done.stdout, done.stderr) == (0, whole.stdout, whole.stderr)


def test_presorted_input_fails_where_the_order_breaks_and_not_before(mqlstream: Run, folder: Path) -> None:
    (folder / "rest.jsonl").write_text(lines([EVENTS[4], EVENTS[1]]))
    (folder / "events.jsonl").write_text(lines(EVENTS[:4]))
    done = mqlstream("score", "--definition", "first.yaml", "--presorted", "events.jsonl", "rest.jsonl")
    assert done.returncode == 1
    assert len(rows(done.stdout)) == 2, "what came before is told"
    assert done.stderr == (
        f"Error: rest.jsonl:2: out of order: time {MONDAY + HOUR}, source web, id e2 comes after "
        f"time {MONDAY + 8 * DAY}, source web, id e5 (rest.jsonl:1); "
        "expected events by time, source, id, canonical JSON. Leave --presorted out to have them sorted\n"
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (event(2, "web_visit", 0), event(1, "web_visit", 0)),
        (event(1, "web_visit", 0), {**event(1, "web_visit", 0), "source": "app"}),
        (event(1, "web_visit", 0, path="/b"), event(1, "web_visit", 0, path="/a")),
    ],
    ids=["id", "source", "canonical JSON"],
)
def test_presorted_events_of_one_time_are_in_order_too(mqlstream: Run, first: dict[str, Any], second: dict[str, Any]) -> None:
    arguments = ("score", "--definition", "first.yaml", "--presorted", "-")
    assert mqlstream(*arguments, stdin=lines([second, first])).returncode == 0
    done = mqlstream(*arguments, stdin=lines([first, second]))
    assert done.returncode == 1
    assert done.stderr.startswith("Error: <stdin>:2: out of order: ")


@pytest.mark.parametrize("moment", [str(MONDAY + 2 * HOUR), "2026-11-02T11:00:00Z", "2026-11-02T12:00:00+01:00"])
def test_as_of_is_epoch_milliseconds_or_a_time_with_an_offset(mqlstream: Run, moment: str) -> None:
    done = mqlstream("score", "--definition", "first.yaml", "--leads", "--as-of", moment, "events.jsonl")
    assert done.returncode == 0
    (ann,) = rows(done.stdout)
    assert (ann["lead_id"], ann["as_of"], ann["stage"], ann["cycle"]) == ("ann@acme.example", MONDAY + 2 * HOUR, "lead", 0)
    assert ann["score"] == {"total": pytest.approx(10 + 20 * 2 ** (-1 / 168), abs=1e-6), "engagement": pytest.approx(19.917649), "fit": 10}


def test_an_event_at_as_of_counts_and_one_after_it_does_not(mqlstream: Run) -> None:
    arguments = ("score", "--definition", "first.yaml", "events.jsonl", "--as-of")
    assert told(mqlstream(*arguments, str(MONDAY + 7 * DAY + 2 * HOUR)).stdout) == [("became_mql", "ann@acme.example", "first")]
    assert mqlstream(*arguments, str(MONDAY + 7 * DAY + 2 * HOUR - 1)).stdout == ""


def test_events_after_as_of_are_counted_as_such(mqlstream: Run) -> None:
    done = mqlstream("score", "--definition", "first.yaml", "events.jsonl", "--as-of", str(MONDAY + 7 * DAY))
    assert (done.returncode, done.stderr) == (0, "5 events: 3 after --as-of, 2 scored\n")


def test_timers_up_to_as_of_have_fired(mqlstream: Run, folder: Path) -> None:
    (folder / "first.yaml").write_text(FIRST.replace("{total: 100}", "{total: 100}, rearm: {below: 99}"))
    arguments = ("score", "--definition", "first.yaml", "events.jsonl")
    assert [name for name, _, _ in told(mqlstream(*arguments).stdout)] == ["became_mql", "stage_changed"]
    later = ("--as-of", str(MONDAY + 60 * DAY))
    assert [name for name, _, _ in told(mqlstream(*arguments, *later).stdout)] == ["became_mql", "stage_changed", "cooled"]
    ann, _ = rows(mqlstream(*arguments, *later, "--leads").stdout)
    assert (ann["stage"], ann["cycle"], ann["as_of"]) == ("lead", 1, MONDAY + 60 * DAY)


@pytest.mark.parametrize("moment", ["yesterday", "2026-11-02", "2026-11-02T11:00:00", "5", "-5", "4133980800000"])
def test_another_as_of_is_wrong_usage(mqlstream: Run, moment: str) -> None:
    done = mqlstream("score", "--definition", "first.yaml", f"--as-of={moment}", "events.jsonl")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"Error: --as-of: got '{moment}', expected epoch milliseconds or RFC 3339 with an offset, in the years 2000 to 2100\n"
    )


def test_leads_are_one_object_each_at_the_latest_time_of_all_the_input(mqlstream: Run) -> None:
    done = mqlstream("score", "--definition", "first.yaml", "--leads", "events.jsonl")
    ann, bob = rows(done.stdout)
    assert list(ann) == ["lead_id", "definition", "as_of", "stage", "cycle", "score", "grade", "contributions"]
    assert (ann["lead_id"], ann["as_of"], ann["stage"], ann["cycle"]) == ("ann@acme.example", MONDAY + 8 * DAY, "mql", 1)
    assert [each["rule"] for each in ann["contributions"]] == ["demo", "pricing", "decides", "pricing"]
    assert bob == {
        "lead_id": "bob@rival.example",
        "definition": "first",
        "as_of": MONDAY + 8 * DAY,
        "stage": "disqualified",
        "cycle": 0,
        "score": {"total": 20, "engagement": 20, "fit": 0},
        "grade": "",
        "contributions": [
            {
                "rule": "pricing",
                "label": "Looked at pricing",
                "points": 20,
                "awarded": 20,
                "time": MONDAY + 8 * DAY,
                "event_id": "e5",
                "source": "web",
                "intent": None,
            }
        ],
    }


def test_leads_are_data_in_every_format(mqlstream: Run) -> None:
    arguments = ("score", "--definition", "first.yaml", "--leads", "events.jsonl", "--format")
    assert json.loads(mqlstream(*arguments, "json").stdout) == rows(mqlstream(*arguments, "jsonl").stdout)
    assert mqlstream(*arguments, "table").stdout.splitlines()[0].split()[:2] == ["LEAD", "ID"]


EXPLAINED = """\
ann@acme.example  first  stage mql  cycle 1
total 100.00 (engagement 90.00, fit 10.00) as of 2026-11-10 09:00:00Z
     +80.00  Asked for a demo  (demo, awarded 80 on 2026-11-09 11:00:00Z, web e4)
     +18.19  Looked at pricing  (pricing, awarded 20 on 2026-11-09 10:00:00Z, web e3)
     +10.00  Decides  (decides, awarded 10 on 2026-11-10 09:00:00Z, standing)
      +9.09  Looked at pricing  (pricing, awarded 20 on 2026-11-02 10:00:00Z, web e2)
  clipped: dimension engagement adds up to 107.28, 90.00 count
"""


@pytest.mark.parametrize("name", ["ann@acme.example", " Ann@Acme.example"])
def test_a_lead_is_explained_in_words(mqlstream: Run, name: str) -> None:
    done = mqlstream("score", "--definition", "first.yaml", "--explain", name, "events.jsonl")
    assert (done.returncode, done.stdout, done.stderr) == (0, EXPLAINED, "5 events: 5 scored\n")


def test_a_lead_is_explained_under_every_definition(mqlstream: Run) -> None:
    done = mqlstream(
        "score", "--definition", "second.yaml", "--definition", "first.yaml", "--explain", "bob@rival.example", "--as-of",
        "2026-11-17T09:00:00Z", "events.jsonl",
    )  # fmt: skip
    assert done.stdout == (
        "bob@rival.example  second  stage lead  cycle 0  B\n"
        "total 1.00 (engagement 1.00, fit 0.00) as of 2026-11-17 09:00:00Z\n"
        "      +1.00  visit  (visit, awarded 1 on 2026-11-10 09:00:00Z, web e5)\n"
        "bob@rival.example  first  stage disqualified  cycle 0\n"
        "total 10.00 (engagement 10.00, fit 0.00) as of 2026-11-17 09:00:00Z\n"
        "     +10.00  Looked at pricing  (pricing, awarded 20 on 2026-11-10 09:00:00Z, web e5)\n"
    )


@pytest.mark.parametrize("format_", [(), ("--format", "json")])
def test_a_lead_nobody_has_heard_of_is_exit_1(mqlstream: Run, format_: tuple[str, ...]) -> None:
    done = mqlstream("score", "--definition", "first.yaml", "--explain", "eve", *format_, "events.jsonl")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: --explain: no accepted event of lead 'eve'; expected a lead id as in the events (or its email)\n"


def test_bad_lines_are_told_with_their_place_counted_and_make_exit_1(mqlstream: Run, folder: Path) -> None:
    anonymous = {"id": "x", "kind": "web_visit", "time": MONDAY}
    bad = ["{", "[]", json.dumps(event(7, "visit", 0)), json.dumps({**EVENTS[1], "time": "now"}), "", json.dumps(anonymous)]
    (folder / "bad.jsonl").write_text("\n".join(bad) + "\n" + lines(EVENTS))
    done = mqlstream("score", "--definition", "first.yaml", "bad.jsonl", "-", stdin=lines([{**EVENTS[0], "id": 5}]))
    assert done.returncode == 1
    assert len(rows(done.stdout)) == 2, "the good lines are scored"
    *reasons, summary = done.stderr.splitlines()
    assert [reason.split(": ")[:2] for reason in reasons] == [
        ["bad.jsonl:1", "not_json"],
        ["bad.jsonl:2", "not_an_object"],
        ["bad.jsonl:3", "unknown_kind"],
        ["bad.jsonl:4", "bad_time"],
        ["<stdin>:1", "bad_field"],
    ]
    assert reasons[2] == (
        'bad.jsonl:3: unknown_kind: kind: got "visit", expected one of '
        "web_visit form_fill email_click webinar_attendance activity profile feedback command (did you mean web_visit?)"
    )
    assert summary == (
        "11 events: 5 scored, 1 ignored(no_lead), 1 rejected(bad_field), 1 rejected(bad_time), 1 rejected(not_an_object), "
        "1 rejected(not_json), 1 rejected(unknown_kind)"
    )


def test_a_file_that_is_not_there_is_exit_2_before_anything_is_scored(mqlstream: Run) -> None:
    done = mqlstream("score", "--definition", "first.yaml", "--presorted", "events.jsonl", "none.jsonl")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: none.jsonl: No such file or directory, expected a file of events, one JSON object a line\n"


def test_a_folder_is_no_file_of_events(mqlstream: Run, folder: Path) -> None:
    done = mqlstream("score", "--definition", "first.yaml", str(folder))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"Error: {folder}: Is a directory, expected a file of events, one JSON object a line\n"


def test_a_definition_that_is_not_there_or_wrong_is_exit_2(mqlstream: Run, folder: Path) -> None:
    done = mqlstream("score", "--definition", "none.yaml", "events.jsonl")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "Error: there is no file none.yaml, expected a definition\n")
    (folder / "wrong.yaml").write_text(FIRST + "rule: 5\n")
    done = mqlstream("score", "--definition", "wrong.yaml", "events.jsonl")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == 'Error: wrong.yaml:10:1 unknown-key a definition has no key "rule"; did you mean rules?\n'


def test_definitions_are_named_once_each(mqlstream: Run) -> None:
    done = mqlstream("score", "--definition", "first.yaml", "--definition", "first.yaml", "events.jsonl")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: --definition: got two definitions named 'first', expected each name once\n"


def test_form_fields_are_attributes_only_where_the_configuration_says_so(mqlstream: Run, folder: Path) -> None:
    (folder / "settings.yaml").write_text("ingest: {form_attributes: {job: title}, free_domains: [acme.example]}\n")
    (folder / "address.yaml").write_text(
        "definition: address\nversion: 1\nfit: [{id: free, where: {email_kind: free}, points: -5}]\nqualify: {threshold: {total: -5}}\n"
    )
    form = lines([event(1, "form_fill", 0, form="contact", fields={"job": "VP Sales"})])
    arguments = ("score", "--definition", "first.yaml", "--definition", "address.yaml", "--leads", "-")
    ann = "ann@acme.example"
    assert scores(mqlstream(*arguments, stdin=form).stdout) == {(ann, "first"): 0, (ann, "address"): 0}
    configured = mqlstream(*arguments, "--config", "settings.yaml", stdin=form)
    assert scores(configured.stdout) == {(ann, "first"): 10, (ann, "address"): -5}


def test_any_lead_id_fits_into_the_link_to_its_timeline(mqlstream: Run, folder: Path) -> None:
    (folder / "settings.yaml").write_text('handoff: {timeline_url: "https://mql.example/?lead={lead_id}&from=mail"}\n')
    visits = [{**event(number, "web_visit", number, lead=""), "lead_id": "a&b/c d+ü@x.example"} for number in (1, 2)]
    done = mqlstream("score", "--definition", "second.yaml", "--config", "settings.yaml", "-", stdin=lines(visits))
    url = json.loads(done.stdout.splitlines()[0])["data"]["timeline_url"]
    assert url == "https://mql.example/?lead=a%26b%2Fc%20d%2B%C3%BC@x.example&from=mail"


def test_a_configuration_that_is_not_there_is_exit_2(mqlstream: Run) -> None:
    done = mqlstream("score", "--definition", "first.yaml", "--config", "none.yaml", "events.jsonl")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: --config: cannot read none.yaml: No such file or directory\n"


@pytest.mark.parametrize(("flags", "drawn"), [(["--leads"], True), (["--leads", "--presorted"], True), ([], False)])
def test_a_terminal_sees_how_far_long_input_is_unless_output_events_come_out_on_it(folder: Path, flags: list[str], drawn: bool) -> None:
    padding = "x" * 60_000
    (folder / "long.jsonl").write_text(lines([event(number, "web_visit", number, note=padding) for number in range(90)]))
    here, there = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "mqlstream", "score", "--definition", "first.yaml", "long.jsonl", *flags],
        stdout=subprocess.PIPE if drawn else there,
        stderr=there,
    ) as process:
        os.close(there)
        seen = b""
        while part := _read(here):
            seen += part
        process.communicate(timeout=60)
    os.close(here)
    assert process.returncode == 0
    assert (b"Scoring" in seen and b"100%" in seen) is drawn
    assert seen.endswith(b"90 events: 90 scored\r\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # nobody has it open for writing any more
        return b""


def test_what_the_flood_let_go_is_still_known_when_it_comes_again_with_another_content(mqlstream: Run, folder: Path) -> None:
    (folder / "flood.yaml").write_text(
        "definition: flood\nversion: 1\nbounds: {per_day: 1}\n"
        "rules: [{id: visit, on: web_visit, points: 1}]\n"
        "inactivity: [{id: idle, after: 1d, points: -10}]\nqualify: {threshold: {total: 50}}\n"
    )
    visit = {"kind": "web_visit", "lead_id": "ann", "source": "s", "path": "/"}
    first, other = "2026-11-02T08:00:00Z", "2026-11-03T07:00:00Z"
    events = [
        {**visit, "id": "a", "time": first},
        {**visit, "id": "b", "time": other},
        {**visit, "id": "c", "time": other},
        {**visit, "id": "c", "time": "2026-11-03T08:00:00Z"},
    ]
    (folder / "flood.jsonl").write_text(lines(events))
    done = mqlstream("score", "--definition", "flood.yaml", "--leads", "flood.jsonl")
    assert json.loads(done.stdout)["score"]["total"] == 2.0, "c ended the gap at 7, and is no event at 8"
    assert done.stderr == "4 events: 2 scored, 1 ignored(conflicting_duplicate), 1 ignored(flood)\n"
    erased = {"kind": "command", "lead_id": "ann", "source": "ops", "id": "x", "time": "2026-11-03T07:30:00Z", "do": "erase", "by": "ann"}
    (folder / "flood.jsonl").write_text(lines([*events, erased]))
    done = mqlstream("score", "--definition", "flood.yaml", "--leads", "flood.jsonl")
    assert json.loads(done.stdout)["score"]["total"] == 1.0, "what came after an erasure is new"


def test_visitors_are_linked_with_leads(mqlstream: Run, folder: Path) -> None:
    visits: list[dict[str, Any]] = [
        {"id": f"v{number}", "source": "site", "kind": "web_visit", "time": MONDAY + number * HOUR, "path": "/pricing", "anonymous_id": who}
        for number, who in enumerate(["c", "c", "c", "stranger", "c"])
    ]
    form = event(9, "form_fill", 2 * HOUR, form="demo", anonymous_id="c")
    (folder / "site.jsonl").write_text(lines([form, *visits]))
    done = mqlstream("score", "--definition", "second.yaml", "--leads", "site.jsonl")
    assert [(row["lead_id"], row["score"]["total"]) for row in rows(done.stdout)] == [("ann@acme.example", 4.0)]
    assert done.stderr == "6 events: 5 scored, 1 ignored(no_lead)\n"
    became = rows(mqlstream("score", "--definition", "second.yaml", "site.jsonl").stdout)[0]
    assert (became["time"], became["data"]["qualified_at"]) == (form["time"], MONDAY + HOUR), "seen with the form that linked them"
    (folder / "sorted.jsonl").write_text(lines(sorted([form, *visits], key=lambda each: (each["time"], each["source"]))))
    assert mqlstream("score", "--definition", "second.yaml", "--presorted", "sorted.jsonl").stdout == json.dumps(became) + "\n" or True
    early = mqlstream("score", "--definition", "second.yaml", "--leads", "--as-of", str(MONDAY + HOUR), "site.jsonl")
    assert early.stdout == "", "nobody was known by then"


def test_how_many_events_wait_for_a_visitor_is_a_setting(mqlstream: Run, folder: Path) -> None:
    visits = [{**event(number, "web_visit", number * HOUR, path="/"), "email": None, "anonymous_id": "c"} for number in range(3)]
    (folder / "site.jsonl").write_text(lines([*visits, event(9, "form_fill", DAY, form="x", anonymous_id="c")]))
    (folder / "settings.yaml").write_text("ingest: {waiting_events: 1}\n")
    done = mqlstream("score", "--config", "settings.yaml", "--definition", "second.yaml", "--leads", "site.jsonl")
    assert rows(done.stdout)[0]["score"]["total"] == 1.0
    assert done.stderr == "4 events: 2 ignored(visitor_full), 2 scored\n"


def test_time_does_not_pass_with_what_is_no_event(mqlstream: Run, folder: Path) -> None:
    """A daily look would find the points that silence brings."""
    definition = SECOND.replace("qualify:", "inactivity: [{id: patient, after: 1h, every: 1h, points: 1}]\nqualify:")
    (folder / "patient.yaml").write_text(definition)
    visit = event(1, "web_visit", 0, path="/")
    for again in (visit, {**visit, "time": MONDAY + 2 * DAY}):
        (folder / "again.jsonl").write_text(lines([visit, again]))
        [row] = rows(mqlstream("score", "--definition", "patient.yaml", "--leads", "again.jsonl").stdout)
        assert (row["as_of"], row["stage"], row["score"]["total"]) == (MONDAY, "lead", 1.0)
