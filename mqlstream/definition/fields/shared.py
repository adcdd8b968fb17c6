"""Types that several constructs share."""

from __future__ import annotations

from mqlstream.core.event import ACTIVITY_KINDS
from mqlstream.definition.types import MAX_SCORE, Choice, ListOf, Number, Text

DEFINITION_ID = Text("an id of a-z, 0-9 and -", r"[a-z0-9-]+", longest=100)
ID = Text("an id of letters, digits and _ . : / -", r"\w[\w.:/-]*", longest=100)
LIST_NAME = Text("a name of letters, digits, _ and -", r"[^\W\d][\w-]*", longest=100)
LABEL = Text("text")
PATH = Text("the path of a field", r"\S+(?: \S+)*")
GRADE = Text("a grade of letters and digits", r"\w+", longest=20)
FLOOR = Number(-MAX_SCORE, 0)
CAP = Number(0, MAX_SCORE)
SCORE = Number(-MAX_SCORE, MAX_SCORE)
KINDS_OF_ACTIVITY = ListOf(Choice(ACTIVITY_KINDS), least=1, most=len(ACTIVITY_KINDS), bare=True)
