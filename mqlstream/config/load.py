"""Where settings come from: variables, then a file, then defaults. The first that names a setting decides it."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from mqlstream.config.fields import BY_NAME, FIELDS, PREFIX, SECTIONS, Field
from mqlstream.config.settings import HandoffSettings, IngestSettings, KafkaSettings, MachineSettings, Settings
from mqlstream.config.values import from_text, from_yaml, secrets_in, shown, text_of
from mqlstream.errors import UsageError

_VARIABLES = {field.variable: field for field in FIELDS}
_SECRETS = {field.name for field in FIELDS if field.secret}
_GROUPS = {"ingest": IngestSettings, "machines": MachineSettings, "handoff": HandoffSettings}
_KAFKA = frozenset(KafkaSettings.__dataclass_fields__)
# Kubernetes puts such variables into every container that shares a namespace with a service named mqlstream or mqlstream-*.
_SERVICE_LINK = re.compile(
    PREFIX + r"([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PORT|PROTO|ADDR))?)?)"
).fullmatch

_UNEXPECTED = re.compile(r"expected (.+), but (?:found|got) '(.+)'").fullmatch
_WANTED = {
    "the node content": "a value",
    "<block end>": "a line that goes with those above it",
    "'<document start>'": "the end of the file",
}
_GOT = {
    "?": "`name: value`",
    "<block mapping start>": "`name: value`",
    "<block sequence start>": "a list",
    "<block end>": "the end of the indented lines",
    "<document start>": "another document",
    "<document end>": "the end of the document",
    "<stream end>": "the end of the file",
    "<scalar>": "a text",
}

TOKEN_LEAST = 16  # characters: what can be guessed protects nothing
_Found = dict[str, tuple[Any, str]]  # setting -> value and where it came from


def load(config_file: Path | None, environ: Mapping[str, str]) -> Settings:
    """The effective settings of a file (if any) and an environment (`os.environ`, or a test's own).

    An empty variable counts as not set. A secret may also be given as the path of a file that holds it, under its name
    with ``_FILE`` (``_file`` in the file). Relative paths in a file start at that file's folder. Raises `UsageError`:
    one line that says what was got, where, and what was expected.
    """
    found = _from_file(config_file) if config_file is not None else {}
    found |= _from_variables(environ)
    values = {}
    origins = {}
    for field in FIELDS:
        values[field.name], origins[field.name] = found.get(field.name, (field.default, "default"))
    if values["state_dir"] is None:
        values["state_dir"] = state_dir(environ)
    for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "state_dir"):
        values[name] = Path(values[name]) if values[name] is not None else None
    values["definitions"] = tuple(Path(path) for path in values["definitions"])
    _check_together(values, origins)
    return _settings(values, origins)


def state_dir(environ: Mapping[str, str]) -> Path:
    """Where this platform keeps the state of a user's programs."""
    if environ.get("XDG_STATE_HOME"):
        return Path(environ["XDG_STATE_HOME"]) / "mqlstream"
    home = Path(environ.get("HOME") or "/")
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "mqlstream"
    return home / ".local" / "state" / "mqlstream"


def _settings(values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    plain: dict[str, Any] = {name: value for name, value in values.items() if "." not in name and name not in _KAFKA}
    plain["kafka"] = KafkaSettings(**{name: values[name] for name in _KAFKA})
    for section, group in _GROUPS.items():
        inside = {name.removeprefix(section + "."): value for name, value in values.items() if name.startswith(section + ".")}
        plain[section] = group(**{name: MappingProxyType(value) if isinstance(value, dict) else value for name, value in inside.items()})
    return Settings(**plain, origins=MappingProxyType(dict(origins)))


def _from_variables(environ: Mapping[str, str]) -> _Found:
    found: _Found = {}
    for variable in sorted(environ):
        text = environ[variable]
        if not variable.startswith(PREFIX) or not text:
            continue
        field = _VARIABLES.get(variable)
        if field is not None:
            value = from_text(field, text, variable)
        else:
            field = _VARIABLES.get(variable.removesuffix("_FILE"))
            if field is None or not field.secret:
                if _SERVICE_LINK(variable):
                    continue
                raise UsageError(f"{variable}: unknown setting" + _nearest(variable, _variable_names(), PREFIX))
            if field.name in found:
                raise UsageError(f"{variable}: {field.variable} is set too, expected one of them")
            value = _secret(field, Path(text), variable)
        found[field.name] = (value, variable)
    return found


def _variable_names() -> Iterator[str]:
    for variable, field in _VARIABLES.items():
        yield variable
        if field.secret:
            yield variable + "_FILE"


def _from_file(path: Path) -> _Found:
    found: _Found = {}
    for name, value, line in _entries(path):
        where = f"{path}:{line}: {name}"
        field = BY_NAME.get(name)
        if field is not None:
            read = _anchored(field, from_yaml(field, value, where, path.parent), path.parent)
        elif name.removesuffix("_file") in _SECRETS:
            field = BY_NAME[name.removesuffix("_file")]
            if not isinstance(value, str):
                raise UsageError(f"{where}: got {shown(value)}, expected a path")
            read = _secret(field, path.parent / value, where)
        else:
            known = [*BY_NAME, *(secret + "_file" for secret in _SECRETS)]
            raise UsageError(f"{path}:{line}: {' '.join(name.split())[:80]}: unknown setting" + _nearest(name, known))
        if field.name in found:
            raise UsageError(f"{where}: given before at {found[field.name][1]}, expected once")
        found[field.name] = (read, f"{path}:{line}")
    return found


def _anchored(field: Field, value: Any, folder: Path) -> Any:
    if field.kind == "path":
        return folder / value
    return tuple(folder / entry for entry in value) if field.name == "definitions" else value


def _entries(path: Path) -> Iterator[tuple[str, Any, int]]:
    """Name, value and line of every setting in a file, keys of sections joined with a dot. Null values are left out."""
    text = text_of(path, "--config")
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        for key, node in _pairs(root, f"{path}", ""):
            name = key.value
            inside = _pairs(node, f"{path}", name + ": ") if name in SECTIONS else None
            for inner, below in [(key, node)] if inside is None else inside:
                value = loader.construct_object(below, deep=True)
                if value is not None:
                    yield name if inside is None else f"{name}.{inner.value}", value, inner.start_mark.line + 1
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UsageError(f"{path}{at}: not YAML: {_in_words(error.problem)}") from None
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise UsageError(f"{path}: not YAML: {' '.join(str(error).split())}") from None


def _in_words(problem: str | None) -> str:
    """What the YAML parser complains of, without its own names for the parts of a file."""
    if problem == "but found another document":
        return "got another document, expected only one"
    unexpected = _UNEXPECTED(problem or "")
    if unexpected is None:
        return problem or "unreadable"
    wanted, got = unexpected.groups()
    return f"got {_GOT.get(got, repr(got))}, expected {_WANTED.get(wanted, wanted)}"


def _pairs(node: yaml.Node | None, where: str, what: str) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    """The keys and values of a map; nothing for no node and for null."""
    if node is None or node.tag == "tag:yaml.org,2002:null":
        return []
    if not isinstance(node, yaml.MappingNode):
        raise UsageError(
            f"{where}:{node.start_mark.line + 1}: {what}got no map, expected `name: value` lines" + (" below it" if what else "")
        )
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise UsageError(f"{where}:{key.start_mark.line + 1}: {what}got a name that is no text, expected `name: value` lines")
    return list(node.value)


def _secret(field: Field, path: Path, where: str) -> Any:
    if field.kind == "secrets":
        return secrets_in(path, where)
    text = text_of(path, where).strip("\r\n")
    if not text:
        raise UsageError(f"{where}: {path} is empty, expected a secret")
    return text


def _check_together(values: Mapping[str, Any], origins: Mapping[str, str]) -> None:
    """What no setting can know by itself: combinations that can't work, refused before anything is tried with them."""
    protocol = values["security_protocol"]
    if protocol.startswith("SASL_"):
        for name in ("sasl_plain_username", "sasl_plain_password"):
            if not values[name]:
                raise UsageError(f"{BY_NAME[name].variable}: missing, expected with security_protocol {protocol}")
    else:
        for name in ("sasl_mechanism", "sasl_plain_username", "sasl_plain_password"):
            if origins[name] != "default":
                raise UsageError(f"{origins[name]}: {name} is set, expected MQLSTREAM_SECURITY_PROTOCOL SASL_SSL or SASL_PLAINTEXT with it")
    token = values["http_token"]
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token and len(token) >= TOKEN_LEAST):
        raise UsageError(
            f"{origins['http_token']}: http_token has {len(token)} characters, expected {TOKEN_LEAST} or more, ASCII and without spaces"
        )
    if values["ssl_keyfile"] and not values["ssl_certfile"]:
        raise UsageError(f"{origins['ssl_keyfile']}: ssl_keyfile is set, expected MQLSTREAM_SSL_CERTFILE with it")


def _nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    # Without the prefix: what all have in common makes none of them near.
    close = difflib.get_close_matches(name.removeprefix(prefix)[:80], [word.removeprefix(prefix) for word in known], n=1, cutoff=0.6)
    return f" (did you mean {prefix}{close[0]}?)" if close else "; `mqlstream config show` lists all there are"
