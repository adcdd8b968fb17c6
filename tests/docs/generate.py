"""`make docs`: writes what in docs/ is made from the descriptions of the language. `test_reference` holds it to them."""

from __future__ import annotations

from pathlib import Path

from mqlstream.definition.reference import refreshed
from mqlstream.definition.schema import schema_text

DOCS = Path(__file__).resolve().parents[2] / "docs"
REFERENCE = DOCS / "definition-reference.md"
SCHEMA = DOCS / "definition.schema.json"


def generated() -> dict[Path, str]:
    """Each generated file and its text; the reference page keeps its prose and gets its tables anew."""
    return {REFERENCE: refreshed(REFERENCE.read_text()), SCHEMA: schema_text()}


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text)
