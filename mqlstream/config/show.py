"""Settings for people: the effective ones with where each came from, and the reference file. Secrets never show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mqlstream.config.fields import FIELDS, Field
from mqlstream.config.settings import Settings
from mqlstream.config.values import expected

MASK = "********"


def effective(settings: Settings) -> list[dict[str, Any]]:
    """One row a setting: name, value (secrets masked), origin, variable, description."""
    return [
        {
            "setting": field.name,
            "value": _value(settings, field),
            "from": settings.origins.get(field.name, "default"),
            "variable": field.variable,
            "description": field.description,
        }
        for field in FIELDS
    ]


def _value(settings: Settings, field: Field) -> Any:
    section, _, name = field.name.rpartition(".")
    group: Any = getattr(settings, section) if section else settings.kafka if hasattr(settings.kafka, name) else settings
    value = getattr(group, name)
    if field.secret:
        return MASK if value else None
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    return [str(entry) for entry in value] if isinstance(value, tuple) else value


def reference() -> str:
    """The text of a settings file that names every setting, each at its default and explained."""
    lines = [
        "# Every setting there is, each at its default and commented out. Generated from the settings' own descriptions.",
        "# A variable (its name stands in brackets) wins over this file, which wins over the default.",
        "# Secrets may also be given as a file: the same name with _file here, with _FILE as a variable.",
        "# Paths start at this file's folder. Lists may be written as {file: names.txt}, one entry a line.",
    ]
    section = ""
    for field in FIELDS:
        head, _, name = field.name.rpartition(".")
        if head != section:
            section = head
            lines += ["", f"{section}:"]
        indent = "  " if section else ""
        lines += ["", f"{indent}# {field.description}", f"{indent}# {_takes(field)} [{field.variable}]"]
        lines.append(f"{indent}# {name}: {_yaml(field)}")
    return "\n".join(lines) + "\n"


def _takes(field: Field) -> str:
    default = field.default_text or ("none" if field.default in (None, (), {}) else "")
    text = expected(field)
    return text[0].upper() + text[1:] + "." + (f" Default: {default}." if default else "")


def _yaml(field: Field) -> str:
    """The default, or an example where there is none."""
    value = field.default
    if field.kind in ("map", "sources", "webhooks", "secrets"):
        pairs = [pair.split("=") for pair in field.example.split(",")]
        return "{" + ", ".join(f"{name}: {attribute}" for name, attribute in pairs) + "}"
    if field.kind == "texts":
        entries = value or field.example.split(",")
        return "[" + ", ".join(_quoted(entry) for entry in entries) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _quoted(str(field.example if value is None else value))


def _quoted(text: str) -> str:
    return f'"{text}"' if any(c in text for c in "!{}[]:#,") else text
