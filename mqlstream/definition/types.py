"""The types that fields of the language have: what may stand there, within which bounds, and how that is said to people.

`fields` describes every construct with them; `reader` reads by them, `schema` turns them into JSON Schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SECOND_MS = 1_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
UNITS_MS = {"s": SECOND_MS, "m": 60 * SECOND_MS, "h": HOUR_MS, "d": DAY_MS}
CENTURY_MS = 36_525 * DAY_MS

MAX_POINTS = 1_000_000
MAX_SCORE = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Text:
    """Text; ``pattern`` matches the whole of it and ``what`` says it in words."""

    what: str = "text"
    pattern: str | None = None
    longest: int = 200
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Integer:
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Number:
    least: float = -MAX_POINTS
    most: float = MAX_POINTS


@dataclass(frozen=True, slots=True)
class Boolean:
    pass


@dataclass(frozen=True, slots=True)
class Choice:
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Duration:
    """A positive integer and one unit, read as milliseconds; ``step_ms`` is what it must be a multiple of."""

    least_ms: int = SECOND_MS
    most_ms: int = CENTURY_MS
    step_ms: int = SECOND_MS


@dataclass(frozen=True, slots=True)
class Day:
    """A calendar day, ``2027-01-31``; stays text."""


@dataclass(frozen=True, slots=True)
class Instant:
    """A point in time with an offset, RFC 3339, or epoch milliseconds; read as milliseconds."""


@dataclass(frozen=True, slots=True)
class Zone:
    """The name of a time zone of the IANA database."""


@dataclass(frozen=True, slots=True)
class Ref:
    """The name of something in the same file: ``dimension``, ``group``, ``rule``, ``score`` (a dimension or total)."""

    to: str


@dataclass(frozen=True, slots=True)
class Value:
    """Text, a number or a boolean."""


@dataclass(frozen=True, slots=True)
class Values:
    """A list of values to compare with. ``text``: members are text; ``named``: ``$name`` may stand for a named list;
    ``bare``: a single text stands for a list of one."""

    text: bool = False
    named: bool = False
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Json:
    """Anything."""


@dataclass(frozen=True, slots=True)
class ListOf:
    item: Type
    least: int = 0
    most: int = 1000
    bare: bool = False  # one item may stand without the list


@dataclass(frozen=True, slots=True)
class MapOf:
    key: Text | Ref
    value: Type
    least: int = 0
    most: int = 1000


@dataclass(frozen=True, slots=True)
class Nullable:
    item: Type


@dataclass(frozen=True, slots=True)
class Either:
    """A duration or one of some words (``per`` of a limit)."""

    duration: Duration
    words: Choice


@dataclass(frozen=True, slots=True)
class Object:
    """A mapping that `fields` describes under this name."""

    construct: str


@dataclass(frozen=True, slots=True)
class Lists:
    """The named lists: each inline or ``{file: name}``."""


@dataclass(frozen=True, slots=True)
class Where:
    """A condition. ``reads``: ``event`` (a rule's), ``lead`` (the lead's attributes), ``moment`` (lead.* at a moment)."""

    reads: str


@dataclass(frozen=True, slots=True)
class When:
    """The condition under which a lead qualifies."""


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """``{mon-fri: "09:00-17:00"}``."""


Type = (
    Text
    | Integer
    | Number
    | Boolean
    | Choice
    | Duration
    | Day
    | Instant
    | Zone
    | Ref
    | Value
    | Values
    | Json
    | ListOf
    | MapOf
    | Nullable
    | Either
    | Object
    | Lists
    | Where
    | When
    | BusinessHours
)


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a construct. ``example`` is YAML for a value, ``default`` text for the reference.

    ``beside`` is what stands beside the example, where the construct's ``base`` would not fit.
    """

    name: str
    type: Type
    doc: str
    example: str
    default: str = ""
    required: bool = False
    beside: str | None = None


@dataclass(frozen=True, slots=True)
class Construct:
    """A mapping of the language.

    ``frame`` is a definition (but its head) with ``@`` where one instance of the construct stands, ``base`` the keys that an
    instance needs; with both every field's example becomes a whole definition, which the tests read.
    ``exactly_one``: of each of these sets of keys one must stand there. ``at_least_one``: likewise, one or more.
    ``apart``: keys that must not stand beside the key. ``others`` reads keys that have no field.
    """

    name: str
    doc: str
    fields: tuple[Field, ...]
    frame: str = "@"
    base: str = ""
    exactly_one: tuple[tuple[str, ...], ...] = ()
    at_least_one: tuple[str, ...] = ()
    apart: Mapping[str, tuple[str, ...]] | None = None
    others: MapOf | None = None

    def field(self, name: str) -> Field | None:
        return next((one for one in self.fields if one.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.fields)


def duration_text(ms: int) -> str:
    """Milliseconds as the language writes them: ``90d``, ``36h``, ``15m``."""
    for unit in ("d", "h", "m", "s"):
        if ms % UNITS_MS[unit] == 0:
            return f"{ms // UNITS_MS[unit]}{unit}"
    return f"{ms}ms"


def expected(kind: Type) -> str:
    """The type in words, as they stand after "expected"."""
    match kind:
        case Text(what=what):
            return what
        case Integer(least, most):
            return f"a whole number from {least} to {most}"
        case Number(least, most):
            # Bounds that only keep numbers sane are not worth their words.
            return "a number" if least == -most else f"a number from {least:g} to {most:g}"
        case Boolean():
            return "true or false"
        case Choice(values):
            return "one of " + " ".join(values)
        case Duration(step_ms=step_ms):
            if step_ms == DAY_MS:
                return "a duration in whole days like 400d"
            return "a duration like 30s 15m 12h 7d"
        case Day():
            return "a day like 2027-01-31"
        case Instant():
            return "a time like 2026-11-02T09:00:00Z"
        case Zone():
            return "a time zone like Europe/Berlin"
        case Ref(to):
            names = {"score": "total or the name of a dimension", "entry": "the id of a rule or of a fit or inactivity entry"}
            return names.get(to, f"the name of a {to}")
        case Value():
            return "text, a number, true or false"
        case Nullable(item):
            return f"{expected(item)} or null"
        case Either(duration, words):
            return f"{expected(duration)} or {expected(words)}"
        case _:
            return _expected_whole(kind)


def _expected_whole(kind: Type) -> str:
    match kind:
        case Values(text, named, bare):
            members = "a list of texts" if text else "a list"
            return " or ".join(["text"] * bare + [members] + ["$name of a list"] * named)
        case ListOf(item, _, _, bare):
            return f"{expected(item)}, or a list" if bare else "a list"
        case BusinessHours():
            return 'hours like {mon-fri: "09:00-17:00"}'
        case Where():
            return "a mapping from fields to what they must be"
        case When():
            return "a condition like {score: total, gte: 100}"
        case Json():
            return "a value"
        case _:
            return "a mapping"
