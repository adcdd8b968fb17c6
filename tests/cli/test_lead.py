"""`mqlstream lead` and `mqlstream feedback` against a worker on the embedded broker, as people use them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import pytest
from confluent_kafka import Producer

from mqlstream.demo.broker import PARTITIONS, EmbeddedBroker
from mqlstream.doors.asking import ask
from mqlstream.errors import CheckFailed
from mqlstream.ingest.fields import DECISIONS
from mqlstream.topics import Topics
from tests.cli.conftest import Run
from tests.docs.readme import blocks, commands
from tests.kafka.installation import Worker, free_port

TOPICS = Topics()
TOKEN = "no-token-of-anyone-s"
PATIENCE_S = 60
ANN = next(command.output for command in commands() if command.text == "mqlstream lead explain ann@acme.example")
BOB = """\
to become an MQL:
  in the way: stage disqualified
  in the way: disqualified by competitor
   no  all of
     no  total >= 100 (now 92.32), 7.68 short
    yes  engagement >= 50 (now 92.32)
"""


class Running(NamedTuple):
    """A worker with the leads of the README's first definition; ``settings`` are the variables of whoever asks."""

    settings: Mapping[str, str]
    url: str


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("worker")
    shown = {block.file: block.text for block in blocks() if block.file}
    (folder / "first.yaml").write_text(shown["first.yaml"])
    with EmbeddedBroker(TOPICS.all) as broker:
        settings = {"MQLSTREAM_BOOTSTRAP_SERVERS": broker.bootstrap, "MQLSTREAM_HTTP_TOKEN": TOKEN}
        more = {"MQLSTREAM_PARTITIONS": str(PARTITIONS), "MQLSTREAM_DEFINITIONS": str(folder / "first.yaml")}
        worker = Worker("one", settings | more, folder)
        worker.start()
        try:
            asyncio.run(worker.ready())
            write(broker.bootstrap, [line.encode() for line in shown["events.jsonl"].splitlines()])
            asked = Running(settings | {"MQLSTREAM_HTTP_BIND": worker.url.removeprefix("http://")}, worker.url)
            until(asked, "ann@acme.example", as_of=1_793_806_200_000, stage="mql")
            until(asked, "bob@rival.example", as_of=1_793_808_000_000, stage="disqualified")
            yield asked
        finally:
            worker.clear_away()


def write(bootstrap: str, events: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for event in events:
        producer.produce(TOPICS.web_visits, event, b"one key")  # the events name their kinds, and one partition keeps their order
    assert producer.flush(30) == 0


def until(running: Running, lead: str, **expected: object) -> None:
    """Wait until the worker tells this of the lead under the definition."""
    until_told(running, lead, of=lambda told: told["definitions"][0], **expected)


def until_told(running: Running, lead: str, of: Callable[[dict[str, Any]], dict[str, Any]] = dict, **expected: object) -> None:
    """Wait until the worker tells this of the lead."""
    deadline = time.monotonic() + PATIENCE_S
    told: dict[str, Any] = {}
    while True:
        try:
            told = of(asyncio.run(ask(running.url, lead, {}, TOKEN)))
            if expected.items() <= told.items():
                return
        except CheckFailed:
            pass  # not heard of yet
        assert time.monotonic() < deadline, told
        time.sleep(0.05)


def test_a_lead_is_explained_with_every_event_and_what_is_missing(mqlstream: Run, running: Running) -> None:
    done = mqlstream("lead", "explain", "Ann@Acme.example", **running.settings)
    assert (done.returncode, done.stdout, done.stderr) == (0, ANN, "")
    done = mqlstream("lead", "explain", "bob@rival.example", **running.settings)
    assert done.stdout.endswith(BOB)


def test_the_worker_and_offline_scoring_tell_the_same(mqlstream: Run, running: Running, tmp_path: Path) -> None:
    for block in blocks():
        if block.file:
            (tmp_path / block.file).write_text(block.text)
    arguments = ("--definition", str(tmp_path / "first.yaml"), str(tmp_path / "events.jsonl"), "--explain", "bob@rival.example")
    offline = json.loads(mqlstream("score", *arguments, "--format", "json").stdout)
    online = json.loads(mqlstream("lead", "explain", "bob@rival.example", "--format", "json", **running.settings).stdout)
    assert online[0]["definitions"] == offline


def test_a_lead_is_shown_in_short(mqlstream: Run, running: Running) -> None:
    done = mqlstream("lead", "show", "bob@rival.example", **running.settings)
    assert done.stdout.splitlines() == [
        "LEAD ID            DEFINITION  STAGE         CYCLE  TOTAL      ENGAGEMENT  FIT  GRADE  AS OF",
        "bob@rival.example  first       disqualified  0      92.322299  92.322299   0.0         2026-11-04 16:00:00Z",
    ]
    rows = json.loads(mqlstream("lead", "show", "bob@rival.example", "--format", "json", **running.settings).stdout)
    assert rows[0]["attributes"]["email_domain"] == "rival.example"
    assert "timeline" not in rows[0]


def test_a_lead_is_told_as_it_will_stand(mqlstream: Run, running: Running) -> None:
    done = mqlstream("lead", "show", "bob@rival.example", "--at", "2026-12-04T15:30:00Z", "--definition", "first", **running.settings)
    assert done.stdout.splitlines()[1].endswith("2026-12-04 15:30:00Z")


@pytest.mark.parametrize(
    ("arguments", "variables", "exit_code", "error"),
    [
        (
            ("show", "eve"),
            {},
            1,
            "no lead 'eve': no event of such a lead has been scored; expected a lead id as in the events (or its email)",
        ),
        (("show", ""), {}, 2, "LEAD: got nothing, expected a lead id"),
        (("show", "bob@rival.example", "--definition", "second"), {}, 2, "{url}: definition: got 'second', expected one of first"),
        (
            ("explain", "bob@rival.example", "--at", "soon"),
            {},
            2,
            "--at: got 'soon', expected epoch milliseconds or RFC 3339 with an offset, in the years 2000 to 2100",
        ),
        (
            ("explain", "bob@rival.example"),
            {"MQLSTREAM_HTTP_TOKEN": ""},
            2,
            "{url}: got no valid token, expected the header `Authorization: Bearer` with MQLSTREAM_HTTP_TOKEN",
        ),
        (("show", "eve", "--url", "worker-1"), {}, 2, "--url: got 'worker-1', expected a worker's address such as http://127.0.0.1:8080"),
    ],
)
def test_what_cannot_be_told_is_one_line(
    mqlstream: Run, running: Running, arguments: tuple[str, ...], variables: Mapping[str, str], exit_code: int, error: str
) -> None:
    done = mqlstream("lead", *arguments, **{**running.settings, **variables})
    assert (done.returncode, done.stdout, done.stderr) == (exit_code, "", f"Error: {error.format(url=running.url)}\n")


def test_a_worker_that_is_not_there_is_told_with_exit_3(mqlstream: Run) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    done = mqlstream("lead", "show", "ann", "--url", f"http://{nobody}")
    why = f"no worker answers at http://{nobody}: {nobody} refused the connection; expected its address (--url)"
    assert (done.returncode, done.stderr) == (3, f"Error: {why}\n")
    done = mqlstream("lead", "show", "ann", "--url", "http://nobody.invalid")
    why = "no worker answers at http://nobody.invalid: nobody.invalid:80 cannot be reached: "
    assert (done.returncode, done.stderr.startswith(f"Error: {why}")) == (3, True)


def test_feedback_moves_the_lead_and_shows_where_it_stands(mqlstream: Run, running: Running) -> None:
    events = [
        {"kind": "form_fill", "source": "web", "id": "c1", "time": 1_793_610_000_000, "lead_id": "cleo", "form": "demo"},
        {"kind": "form_fill", "source": "web", "id": "c2", "time": 1_793_610_000_000, "lead_id": "cleo", "form": "demo"},
    ]
    write(running.settings["MQLSTREAM_BOOTSTRAP_SERVERS"], [json.dumps(event).encode() for event in events])
    until(running, "cleo", stage="mql")
    handoff = json.loads(mqlstream("lead", "show", "cleo", "--format", "json", **running.settings).stdout)[0]["handoff_id"]
    answer = ("feedback", "cleo", "accepted", "--handoff", handoff, "--by", "sam", "--format", "jsonl")
    first, again = (mqlstream(*answer, **running.settings) for _ in range(2))
    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    told, repeated = json.loads(first.stdout), json.loads(again.stdout)
    assert told["topic"] == TOPICS.feedback
    assert (repeated["id"], repeated["offset"]) == (told["id"], told["offset"] + 1)
    until(running, "cleo", stage="sal")
    done = mqlstream("feedback", "cleo", "rejected", "--definition", "first", "--reason", "no budget", **running.settings)
    assert done.stdout.splitlines()[0].split() == ["ID", "TOPIC", "PARTITION", "OFFSET"]
    until(running, "cleo", stage="recycled")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ("ann", "acepted"),
            f'decision: got "acepted", expected one of {" ".join(DECISIONS)} (did you mean accepted?)',
        ),
        (
            ("ann", "won", "--time", "yesterday"),
            'time: got "yesterday", expected epoch milliseconds or RFC 3339 with offset, in the years 2000 to 2100',
        ),
        (("", "won"), "lead_id: missing, expected the lead that the feedback is about"),
    ],
)
def test_feedback_that_is_none_is_refused_before_any_broker_is_asked(mqlstream: Run, arguments: tuple[str, ...], error: str) -> None:
    done = mqlstream("feedback", *arguments, MQLSTREAM_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"Error: {error}\n")


def test_a_broker_that_is_not_there_is_told_with_exit_3(mqlstream: Run) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    done = mqlstream("feedback", "ann", "won", MQLSTREAM_BOOTSTRAP_SERVERS=nobody)
    assert done.returncode == 3
    assert done.stderr.startswith(f"Error: cannot reach Kafka at {nobody} with PLAINTEXT: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_correction_is_told_with_who_and_why_and_a_merged_lead_is_followed(mqlstream: Run, running: Running) -> None:
    events = [
        {"kind": "form_fill", "source": "web", "id": f"d{number}", "time": 1_793_610_000_000, "lead_id": lead, "form": "demo"}
        for number, lead in enumerate(("dora", "dora", "dora@private.example"))
    ]
    write(running.settings["MQLSTREAM_BOOTSTRAP_SERVERS"], [json.dumps(event).encode() for event in events])
    until(running, "dora", stage="mql")
    why = ("--by", "sam", "--reason", "our own test", "--format", "jsonl")
    done = mqlstream("lead", "retract", "dora", "--source", "web", "--id", "d0", *why, **running.settings)
    assert (done.returncode, json.loads(done.stdout)["topic"]) == (0, TOPICS.commands), done.stderr
    until(running, "dora", stage="lead")
    mqlstream("lead", "verdict", "dora", "--source", "web", "--id", "d1", **running.settings)
    mqlstream("lead", "freeze", "dora", "--by", "sam", **running.settings)
    mqlstream("lead", "merge", "dora@private.example", "--into", "dora", **running.settings)
    until_told(running, "dora@private.example", merged_into="dora")
    until_told(running, "dora", frozen=True)
    shown = mqlstream("lead", "show", "dora@private.example", "--format", "json", **running.settings)
    assert shown.stderr == "dora@private.example was merged into dora\n"
    assert json.loads(shown.stdout)[0]["lead_id"] == "dora"
    explained = mqlstream("lead", "explain", "dora", **running.settings).stdout
    assert "  retract web d0, by sam, because: our own test\n" in explained
    assert "form_fill  web d0" not in explained, "a retracted event is not in the timeline, but that it was retracted is"
    assert "form_fill  web d1  (machine, verdict)" in explained
    assert "in the way: frozen by a command of " in explained


def test_an_erased_lead_is_not_known_any_more(mqlstream: Run, running: Running) -> None:
    event = {"kind": "form_fill", "source": "web", "id": "g1", "time": 1_793_610_000_000, "lead_id": "gus", "form": "demo"}
    write(running.settings["MQLSTREAM_BOOTSTRAP_SERVERS"], [json.dumps(event).encode()])
    until(running, "gus", stage="lead")
    refused = mqlstream("lead", "erase", "gus", **running.settings)
    assert (refused.returncode, refused.stderr) == (2, "Error: erase: there is no terminal to ask on; expected --yes\n")
    assert mqlstream("lead", "erase", "gus", "--yes", **running.settings).returncode == 0
    deadline = time.monotonic() + PATIENCE_S
    while mqlstream("lead", "show", "gus", **running.settings).returncode != 1:
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("merge", "ann", "--into", "ann"), "--into: got 'ann', expected another lead than the one that is merged"),
        (("freeze", ""), "lead_id: missing, expected the lead that the command is about"),
        (
            ("reset", "ann", "--time", "yesterday"),
            'time: got "yesterday", expected epoch milliseconds or RFC 3339 with offset, in the years 2000 to 2100',
        ),
    ],
)
def test_a_command_that_is_none_is_refused_before_any_broker_is_asked(mqlstream: Run, arguments: tuple[str, ...], error: str) -> None:
    done = mqlstream("lead", *arguments, MQLSTREAM_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"Error: {error}\n")


def test_whoever_writes_an_address_in_another_spelling_is_told_whose_it_is(mqlstream: Run) -> None:
    worker = f"127.0.0.1:{free_port()}"
    nobody = {"MQLSTREAM_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}", "MQLSTREAM_HTTP_BIND": worker}
    note = (
        "Note: Ann@Acme.example is taken for ann@acme.example; whether a lead has exactly that id is not known: "
        f"no worker answers at http://{worker}: {worker} refused the connection; expected its address (--url)\n"
    )
    assert mqlstream("lead", "freeze", "Ann@Acme.example", **nobody).stderr.startswith(note)
    assert mqlstream("feedback", "Ann@Acme.example", "accepted", **nobody).stderr.startswith(note)
    done = mqlstream("lead", "merge", "ann@acme.example", "--into", "Ann@Acme.example", **nobody)
    assert done.stderr == note + "Error: --into: got 'ann@acme.example', expected another lead than the one that is merged\n"


def form_fill(number: str, lead: str) -> bytes:
    event = {"kind": "form_fill", "source": "web", "id": number, "time": 1_793_610_000_000, "lead_id": lead, "form": "demo"}
    return json.dumps(event).encode()


def test_an_address_in_another_spelling_is_the_same_lead_to_all_commands(mqlstream: Run, running: Running) -> None:
    leads = ("ida@v.example", "ida@v.example", "kim@v.example", "lea@v.example")
    write(running.settings["MQLSTREAM_BOOTSTRAP_SERVERS"], [form_fill(f"i{number}", lead) for number, lead in enumerate(leads)])
    until(running, "ida@v.example", stage="mql")
    until(running, "lea@v.example", stage="lead")
    done = mqlstream("feedback", "IDA@V.example", "accepted", **running.settings)
    assert (done.returncode, done.stderr) == (0, "Note: IDA@V.example is taken for ida@v.example\n")
    until(running, "ida@v.example", stage="sal")
    done = mqlstream("lead", "merge", "Kim@v.example", "--into", "LEA@V.example", **running.settings)
    notes = ["Note: Kim@v.example is taken for kim@v.example", "Note: LEA@V.example is taken for lea@v.example"]
    assert (done.returncode, done.stderr.splitlines()) == (0, notes)
    until_told(running, "kim@v.example", merged_into="lea@v.example")
    assert mqlstream("lead", "erase", "Ida@V.example", "--yes", **running.settings).returncode == 0
    deadline = time.monotonic() + PATIENCE_S
    while mqlstream("lead", "show", "ida@v.example", **running.settings).returncode != 1:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_an_answer_over_http_finds_the_lead_in_another_spelling(running: Running) -> None:
    write(running.settings["MQLSTREAM_BOOTSTRAP_SERVERS"], [form_fill("l1", "lou@v.example"), form_fill("l2", "lou@v.example")])
    until(running, "lou@v.example", stage="mql")
    body = json.dumps({"lead_id": "LOU@V.example", "decision": "accepted"}).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    with urlopen(Request(f"{running.url}/v1/feedback", body, headers), timeout=PATIENCE_S) as response:
        assert response.status == 202
    until(running, "lou@v.example", stage="sal")


def test_a_lead_of_exactly_the_id_that_is_typed_comes_first(mqlstream: Run, running: Running) -> None:
    write(running.settings["MQLSTREAM_BOOTSTRAP_SERVERS"], [form_fill("m1", "MIA@v.example"), form_fill("m2", "mia@v.example")])
    until(running, "mia@v.example", stage="lead")
    done = mqlstream("lead", "merge", "MIA@v.example", "--into", "mia@v.example", **running.settings)
    assert (done.returncode, done.stderr) == (0, "")
    until_told(running, "MIA@v.example", merged_into="mia@v.example")
