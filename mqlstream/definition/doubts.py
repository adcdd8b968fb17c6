"""Warnings about a sound definition: what it says is allowed, and probably not meant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from mqlstream.definition import model
from mqlstream.definition.findings import Report
from mqlstream.definition.reader import Members, Obj


def doubt(definition: model.Definition, root: Obj, lists: Mapping[str, Members], report: Report, today: date | None) -> None:
    pass
