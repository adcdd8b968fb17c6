"""The JSON Schema of the language, made from `fields`: what editors complete and check while a definition is written.

A schema is looser than the parser where it cannot be as strict (names of other places, durations in bounds, dates).
"""

from __future__ import annotations

import json
from typing import Any

from mqlstream.definition import types
from mqlstream.definition.fields import CONSTRUCTS, NOT_YET
from mqlstream.definition.types import Construct, Type

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

_PLAIN = {"type": ["string", "number", "boolean"]}
_DURATION = r"^[0-9]{1,12}[smhd]$"


def json_schema(not_yet: frozenset[str] = NOT_YET) -> Schema:
    """The schema of a definition file, draft 2020-12, without the constructs that are not supported yet."""
    names = [name for name in CONSTRUCTS if name != "definition"]
    return {
        "$schema": DIALECT,
        "title": "mqlstream definition",
        **_construct(CONSTRUCTS["definition"], not_yet),
        "$defs": {**{name: _construct(CONSTRUCTS[name], not_yet) for name in names}, "where": _where(), "when": _when()},
    }


def schema_text() -> str:
    """The schema as a file for editors."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _construct(construct: Construct, not_yet: frozenset[str]) -> Schema:
    fields = [one for one in construct.fields if f"{construct.name}.{one.name}" not in not_yet]
    there = {one.name for one in fields}
    schema: Schema = {
        "type": "object",
        "description": construct.doc,
        "properties": {one.name: {"description": one.doc, **_type(one.type)} for one in fields},
        "additionalProperties": _type(construct.others.value) if construct.others else False,
    }
    required = [one.name for one in fields if one.required]
    if required:
        schema["required"] = required
    choices = [[{"required": [name]} for name in names if name in there] for names in construct.exactly_one]
    if choices:
        schema["allOf"] = [{"oneOf": choice} for choice in choices]
    if construct.at_least_one:
        schema["anyOf"] = [{"required": [name]} for name in construct.at_least_one if name in there]
    apart = {name: [other for other in others if other in there] for name, others in (construct.apart or {}).items() if name in there}
    if apart:
        schema["dependentSchemas"] = {name: {"properties": dict.fromkeys(others, False)} for name, others in apart.items() if others}
    return schema


def _type(kind: Type) -> Schema:
    match kind:
        case types.Object(name):
            return _ref(name)
        case types.Where():
            return _ref("where")
        case types.When():
            return _ref("when")
        case types.ListOf(item, least, most, bare):
            several = {"type": "array", "items": _type(item), "minItems": least, "maxItems": most}
            return {"anyOf": [_type(item), several]} if bare else several
        case types.MapOf(key, value, least, most):
            names = {"propertyNames": _type(key)} if isinstance(key, types.Text) else {}
            return {"type": "object", "additionalProperties": _type(value), "minProperties": least, "maxProperties": most, **names}
        case types.Nullable(item):
            return {"anyOf": [_type(item), {"type": "null"}]}
        case types.Either(duration, words):
            return {"anyOf": [_type(words), _type(duration)]}
        case types.Values() | types.Lists() | types.BusinessHours():
            return _special(kind)
    return _scalar(kind)


def _scalar(kind: Type) -> Schema:
    match kind:
        case types.Text(_, pattern, longest, empty):
            schema: Schema = {"type": "string", "maxLength": longest, "minLength": 0 if empty else 1}
            return schema if pattern is None else {**schema, "pattern": f"^(?:{_ecma(pattern)})$"}
        case types.Integer(least, most):
            return {"type": "integer", "minimum": least, "maximum": most}
        case types.Number(least, most):
            return {"type": "number", "minimum": least, "maximum": most}
        case types.Boolean():
            return {"type": "boolean"}
        case types.Choice(values):
            return {"enum": list(values)}
        case types.Duration():
            return {"type": "string", "pattern": _DURATION}
        case types.Day():
            return {"type": "string", "format": "date"}
        case types.Instant():
            return {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer"}]}
        case types.Zone() | types.Ref():
            return {"type": "string"}
        case types.Value():
            return dict(_PLAIN)
    return {}


def _special(kind: types.Values | types.Lists | types.BusinessHours) -> Schema:
    if isinstance(kind, types.Lists):
        file = {"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"], "additionalProperties": False}
        return {"type": "object", "additionalProperties": {"anyOf": [{"type": "array", "items": dict(_PLAIN)}, file]}}
    if isinstance(kind, types.BusinessHours):
        span = {"type": "string", "pattern": r"^[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]$"}
        return {"type": "object", "additionalProperties": {"anyOf": [span, {"type": "array", "items": span}]}}
    forms: list[Schema] = [{"type": "array", "items": {"type": "string"} if kind.text else dict(_PLAIN)}]
    if kind.bare:
        forms.append({"type": "string"})
    if kind.named:
        forms.append({"type": "string", "pattern": r"^\$[A-Za-z_][\w-]*$"})
    return {"anyOf": forms} if len(forms) > 1 else forms[0]


def _where() -> Schema:
    several = {"type": "array", "items": _ref("where"), "minItems": 1}
    bare = {"type": "array", "items": dict(_PLAIN)}
    return {
        "type": "object",
        "description": "What fields must be; every entry must hold.",
        "properties": {"any": several, "all": several, "not": _ref("where")},
        "additionalProperties": {"anyOf": [_ref("comparison"), dict(_PLAIN), bare]},
    }


def _when() -> Schema:
    several = {"type": "array", "items": _ref("when"), "minItems": 1}
    number = {"type": "number"}
    score = {"score": {"type": "string"}, **dict.fromkeys(("gt", "gte", "lt", "lte", "eq", "ne"), number)}
    cells = {"type": "array", "items": {"type": "string"}, "minItems": 1}
    cell = {"type": "object", "properties": {"in": cells}, "required": ["in"], "additionalProperties": False}
    forms: list[Schema] = [
        _only({"any": several}, "any"),
        _only({"all": several}, "all"),
        _only({"not": _ref("when")}, "not"),
        _only(score, "score"),
        _only({"cell": {"anyOf": [cell, cells, {"type": "string"}]}}, "cell"),
        _only({"rule": {"type": "string"}}, "rule"),
        _only({"where": _ref("where")}, "where"),
    ]
    return {"description": "A condition on scores, cells, awarded rules and attributes.", "oneOf": forms}


def _only(properties: Schema, required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": [required], "additionalProperties": False}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _ecma(pattern: str) -> str:
    # ECMA's \w has no letters beyond ASCII: what is wider here must not be refused by an editor.
    return pattern.replace(r"[^\W\d][\w-]*", r"[^\s\d][^\s]*").replace(r"\w[\w.:/-]*", r"\S+").replace(r"\w+", r"\S+")
