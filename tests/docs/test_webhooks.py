"""The page on webhooks: its settings are taken, its table is what the schemes say of themselves."""

from __future__ import annotations

from pathlib import Path

from mqlstream.config import load
from mqlstream.doors.signatures.base import Scheme
from mqlstream.doors.signatures.registry import SCHEMES
from mqlstream.doors.webhooks import webhooks_of
from tests.docs.readme import blocks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "webhooks.md"
KEY = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1FwCM/QmGUhA=="


def row(scheme: Scheme) -> str:
    """A scheme's line in the table."""
    options = "; ".join(f"`{option.name}`: {option.description} E.g. `{option.example}`" for option in scheme.options)
    pages = "".join(f" [{number}]({page})" for number, page in enumerate(scheme.pages, 1))
    return f"| `{scheme.name}` | {scheme.looks_at}.{pages} | {scheme.secret or 'none'} | {options or 'none'} |"


def test_every_scheme_has_its_row() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert rows == [row(scheme) for scheme in SCHEMES.values()]


def test_the_settings_on_the_page_are_taken(tmp_path: Path) -> None:
    block, sns = [block for block in blocks(PAGE) if block.language == "yaml"]
    path = tmp_path / "mqlstream.yaml"
    path.write_text(block.text)
    (tmp_path / "secrets").mkdir()
    for topic, secret in (
        ("mail", KEY),
        ("forms", "forms-secret"),
        ("webinars", "old\nnew\n"),
        ("crm", "crm-secret"),
        ("signups", "secret"),
    ):
        (tmp_path / "secrets" / f"acme.{topic}.v1").write_text(secret)
    settings = load(path, {})
    assert {topic: verifier.scheme.name for topic, verifier in webhooks_of(settings).items()} == {
        "acme.mail.v1": "sendgrid",
        "acme.forms.v1": "typeform",
        "acme.webinars.v1": "zoom",
        "acme.crm.v1": "hubspot",
        "acme.visits.v1": "origin",
        "acme.signups.v1": "hmac",
    }
    assert settings.ingest.bind == "0.0.0.0:8081"
    path.write_text(sns.text)
    assert {topic: verifier.scheme.name for topic, verifier in webhooks_of(load(path, {})).items()} == {"acme.ses.v1": "sns"}
