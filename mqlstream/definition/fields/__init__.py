"""Every construct of the definition language, described once: type, bounds, default, documentation, example.

The parser, the JSON Schema and the reference page are made from these descriptions; what several fields mean together is
in `mqlstream.definition.checks`. What is described here but not brought to life yet is named in `NOT_YET`, and nowhere else.
"""

from __future__ import annotations

from mqlstream.definition.fields.head import HEAD
from mqlstream.definition.fields.lead import LEAD
from mqlstream.definition.fields.life import LIFE, TESTS
from mqlstream.definition.fields.rules import COMPARISON, RULES
from mqlstream.definition.fields.shared import LIST_NAME, PATH

__all__ = ["CONSTRUCTS", "LIST_NAME", "NOT_YET", "PATH"]

# Refused with "not supported yet". To bring one to life, delete it here. `construct.key`, as in CONSTRUCTS.
NOT_YET: frozenset[str] = frozenset()

CONSTRUCTS = {one.name: one for one in (*HEAD, *RULES, *COMPARISON, *LEAD, *LIFE, *TESTS)}
