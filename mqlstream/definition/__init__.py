"""The definition language: read a file strictly, say everything that is wrong with it, compile what is sound."""

from mqlstream.definition.findings import DefinitionError, Finding
from mqlstream.definition.parse import load, parse_text

__all__ = ["DefinitionError", "Finding", "load", "parse_text"]
