"""What the image promises, read from the Dockerfile; `make image` carries out its build steps."""

from __future__ import annotations

import ast
import json
import re
import subprocess

from tests.deploy.dockerfile import ROOT, copied, read

BUILD, FINAL = read()[0], read()[-1]


def test_the_image_takes_the_result_of_a_build_stage_and_not_its_tools():
    assert len(read()) >= 2
    assert any(word == "COPY" and text.startswith(f"--from={BUILD.name} ") for word, text in FINAL.steps)
    assert not copied(FINAL), "the final stage copies from the context"


def test_the_image_does_not_run_as_root():
    user = FINAL.last("USER")
    assert user is not None
    # By number, so that Kubernetes' runAsNonRoot can tell.
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    words = [word for word, _ in FINAL.steps]
    assert words.index("USER") > max(place for place, word in enumerate(words) if word in ("RUN", "COPY"))


def test_the_image_starts_the_worker_and_stops_it_with_sigterm():
    assert json.loads(FINAL.last("ENTRYPOINT") or "") == ["mqlstream"]
    assert json.loads(FINAL.last("CMD") or "") == ["run"]
    assert FINAL.last("STOPSIGNAL") == "SIGTERM"


def test_the_image_is_asked_for_its_health_with_what_it_contains():
    check = FINAL.last("HEALTHCHECK") or ""
    python, flag, program = json.loads(check[check.index("[") :])
    assert (python, flag) == ("python", "-c")
    ast.parse(program)
    assert "/healthz" in program


def test_no_secret_is_built_into_the_image():
    for stage in read():
        for word, text in stage.steps:
            assert not (word in ("ENV", "ARG") and re.search(r"(?i)password|secret|token|_key\b", text)), f"{word} {text}"
            assert word != "ADD", "ADD fetches from anywhere"
    everything = [name for sources, _ in copied(BUILD) for name in sources]
    assert "." not in everything, "the whole context is copied, whatever lies in it"


def test_everything_the_image_copies_is_there_and_let_through_by_dockerignore():
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for sources, _ in copied(BUILD):
        for name in sources:
            assert (ROOT / name).exists(), name
            assert any(name == entry or name.startswith(f"{entry}/") for entry in allowed), f"{name} is held back by .dockerignore"


def test_the_build_script_refuses_a_step_it_does_not_know():
    run = subprocess.run([ROOT / "deploy/image/install", "everything", "/nowhere"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr == "install: unknown step 'everything', expected compiler, dependencies or application\n"
