"""`make docs`: writes what in docs/ is made from the descriptions of the language and of the adapters. Tests hold it to them."""

from __future__ import annotations

from pathlib import Path

from mqlstream.definition.reference import refreshed
from mqlstream.definition.schema import schema_text
from mqlstream.ingest.adapters import describe

DOCS = Path(__file__).resolve().parents[2] / "docs"
REFERENCE = DOCS / "definition-reference.md"
SCHEMA = DOCS / "definition.schema.json"
ADAPTERS = DOCS / "adapters.md"


def generated() -> dict[Path, str]:
    """Each generated file and its text; a page keeps its prose and gets its tables anew."""
    pages = {REFERENCE: refreshed(REFERENCE.read_text()), ADAPTERS: describe.refreshed(ADAPTERS.read_text())}
    return {**pages, SCHEMA: schema_text()}


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text)
