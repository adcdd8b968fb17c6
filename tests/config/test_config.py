"""Settings: where each comes from, the exact words of each error, and that secrets never show."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from mqlstream.cli import main
from mqlstream.config import KafkaSettings, Settings, kafka_kwargs, load
from mqlstream.config.fields import FIELDS
from mqlstream.config.show import effective, reference
from mqlstream.errors import UsageError

CONFIG = Path(__file__).parent.parent.parent / "config"


MAP = "expected pairs of texts: name=value,name=value in a variable, a map in a file"


SOURCES = "expected topic=adapter,topic=adapter in a variable, a map of topic to adapter and its options in a file"


def written(folder: Path, text: str) -> Path:
    path = folder / "mqlstream.yaml"
    path.write_text(text)
    return path


def complaint(environ: dict[str, str], path: Path | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        load(path, environ)
    text = str(caught.value)
    assert "\n" not in text
    return text if path is None else text.replace(str(path.parent) + "/", "")


def test_without_anything_all_settings_have_their_defaults() -> None:
    settings = load(None, {"HOME": "/home/kim"})
    assert settings.kafka == KafkaSettings()
    assert (settings.app_id, settings.topic_prefix, settings.partitions, settings.replication_factor) == ("mqlstream", "mql.", 12, 3)
    assert (settings.definitions, settings.commit_interval_ms, settings.publish_scores) == ((), 100, False)
    assert settings.http_bind == "127.0.0.1:8080"
    assert settings.ingest.form_attributes == {}
    assert settings.handoff.identity == ("email",)
    assert set(settings.origins) == {field.name for field in FIELDS}
    assert set(settings.origins.values()) == {"default"}


def test_a_variable_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    path = written(tmp_path, "partitions: 4\napp_id: from-file\n")
    settings = load(path, {"MQLSTREAM_PARTITIONS": "6"})
    assert (settings.partitions, settings.app_id, settings.replication_factor) == (6, "from-file", 3)
    assert settings.origins["partitions"] == "MQLSTREAM_PARTITIONS"
    assert settings.origins["app_id"] == f"{path}:2"
    assert settings.origins["replication_factor"] == "default"


def test_every_setting_can_be_given_as_a_variable() -> None:
    environ = {field.variable: field.example for field in FIELDS if field.name != "security_protocol"}
    settings = load(None, environ | {"MQLSTREAM_SECURITY_PROTOCOL": "sasl_ssl"})
    assert set(settings.origins.values()) == {field.variable for field in FIELDS}
    assert settings.kafka.security_protocol == "SASL_SSL"
    assert settings.kafka.bootstrap_servers == ("kafka-1:9092", "kafka-2:9092")
    assert settings.definitions == (Path("b2b-default.yaml"),)
    assert settings.ingest.form_attributes == {"job_title": "title", "company": "company"}
    assert settings.ingest.disposable_domains == ("trash.example", "!notrash.example")
    assert settings.handoff.attributes == ("title", "company", "company_size")
    assert settings.handoff.structured is True


def test_a_file_holds_sections_lists_and_maps(tmp_path: Path) -> None:
    (tmp_path / "free.txt").write_text("# ours\nmail.example\n\n!gmail.com  # a customer\n")
    path = written(
        tmp_path,
        """
bootstrap_servers: [a:9092, b:9092]
definitions: [b2b.yaml, /etc/mqlstream/more]
ingest:
  form_attributes: {Job Title: title}
  free_domains: {file: free.txt}
handoff:
  attributes: [title]
  structured: true
  timeline_url: https://mql.acme.example/leads/{lead_id}
""",
    )
    settings = load(path, {})
    assert settings.kafka.bootstrap_servers == ("a:9092", "b:9092")
    assert settings.definitions == (tmp_path / "b2b.yaml", Path("/etc/mqlstream/more"))
    assert settings.ingest.form_attributes == {"Job Title": "title"}
    assert settings.ingest.free_domains == ("mail.example", "!gmail.com")
    assert settings.handoff.timeline_url == "https://mql.acme.example/leads/{lead_id}"
    assert settings.origins["handoff.structured"] == f"{path}:9"


def test_sources_are_a_map_of_topics_to_adapters_with_their_options(tmp_path: Path) -> None:
    path = written(tmp_path, "sources:\n  acme.segment: segment\n  acme.forms: {adapter: hubspot, form: demo}\n")
    sources = load(path, {}).sources
    assert sources == {"acme.segment": {"adapter": "segment"}, "acme.forms": {"adapter": "hubspot", "form": "demo"}}
    assert load(path, {"MQLSTREAM_SOURCES": "acme.mail=sendgrid, acme.x=json"}).sources == {
        "acme.mail": {"adapter": "sendgrid"},
        "acme.x": {"adapter": "json"},
    }
    (row,) = [row for row in effective(load(path, {})) if row["setting"] == "sources"]
    assert (row["value"], row["from"]) == (sources, f"{path}:1")


def test_webhooks_have_schemes_with_options_and_secrets_that_never_show(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "ingest:\n  bind: 0.0.0.0:8081\n  webhooks: {acme.a: zoom, acme.b: {verify: hmac, header: X-Sig}}\n"
        "  webhook_secrets: {acme.a: s3cret-a, acme.b: s3cret-b}\n",
    )
    settings = load(path, {})
    assert settings.ingest.bind == "0.0.0.0:8081"
    assert settings.ingest.webhooks == {"acme.a": {"verify": "zoom"}, "acme.b": {"verify": "hmac", "header": "X-Sig"}}
    assert settings.ingest.webhook_secrets == {"acme.a": "s3cret-a", "acme.b": "s3cret-b"}
    environ = {"MQLSTREAM_INGEST_WEBHOOKS": "acme.a=zoom", "MQLSTREAM_INGEST_WEBHOOK_SECRETS": "acme.a=s3cret==, acme.b=x"}
    given = load(None, environ)
    assert given.ingest.webhooks == {"acme.a": {"verify": "zoom"}}
    assert given.ingest.webhook_secrets == {"acme.a": "s3cret==", "acme.b": "x"}
    for each in (settings, given):
        (row,) = [row for row in effective(each) if row["setting"] == "ingest.webhook_secrets"]
        assert row["value"] == "********"
        assert "s3cret" not in repr(each)


def test_webhook_secrets_may_be_a_folder_with_a_file_for_each_topic(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / ".hidden").write_text("no")
    (folder / "acme.a").write_text("old\nnew\n")
    path = written(tmp_path, "ingest:\n  webhook_secrets_file: secrets\n")
    assert load(path, {}).ingest.webhook_secrets == {"acme.a": "old\nnew"}
    variable = "MQLSTREAM_INGEST_WEBHOOK_SECRETS_FILE"
    assert load(None, {variable: str(folder)}).ingest.webhook_secrets == {"acme.a": "old\nnew"}
    (folder / "acme.b").write_text(" \n")
    assert complaint({variable: str(folder)}) == f"{variable}: {folder / 'acme.b'} is empty, expected a secret"
    absent = tmp_path / "absent"
    assert complaint({variable: str(absent)}) == (
        f"{variable}: cannot read {absent}: No such file or directory, expected a folder with one file a topic"
    )
    assert complaint({"MQLSTREAM_INGEST_WEBHOOK_SECRETS": "s3cret"}) == (
        "MQLSTREAM_INGEST_WEBHOOK_SECRETS: got a value of another kind, "
        "expected topic=secret,topic=secret in a variable, a map of topic to secret in a file"
    )
    assert complaint({"MQLSTREAM_INGEST_WEBHOOKS": "zoom"}) == (
        'MQLSTREAM_INGEST_WEBHOOKS: got "zoom", expected topic=scheme,topic=scheme in a variable, '
        "a map of topic to scheme and its options in a file"
    )


def test_the_prefix_of_topics_may_be_empty_in_a_file_only(tmp_path: Path) -> None:
    assert load(written(tmp_path, 'topic_prefix: ""'), {"MQLSTREAM_TOPIC_PREFIX": ""}).topic_prefix == ""
    assert load(None, {"MQLSTREAM_TOPIC_PREFIX": ""}).topic_prefix == "mql."


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load(None, {"MQLSTREAM_PARTITIONS": "", "MQLSTREAM_UNKNOWN": ""}).partitions == 12


def test_the_state_folder_follows_the_platform() -> None:
    assert load(None, {"XDG_STATE_HOME": "/state"}).state_dir == Path("/state/mqlstream")
    assert load(None, {"HOME": "/home/kim"}).state_dir.is_relative_to("/home/kim")


def test_the_address_has_two_parts() -> None:
    plain, six = load(None, {"MQLSTREAM_HTTP_BIND": "0.0.0.0:80"}), load(None, {"MQLSTREAM_HTTP_BIND": "[::1]:8081"})
    assert (plain.http_host, plain.http_port) == ("0.0.0.0", 80)
    assert (six.http_host, six.http_port) == ("::1", 8081)


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"MQLSTREAM_PARTITION": "3"}, "MQLSTREAM_PARTITION: unknown setting (did you mean MQLSTREAM_PARTITIONS?)"),
        ({"MQLSTREAM_QQQQ": "3"}, "MQLSTREAM_QQQQ: unknown setting; `mqlstream config show` lists all there are"),
        ({"MQLSTREAM_APP_ID_FILE": "x"}, "MQLSTREAM_APP_ID_FILE: unknown setting (did you mean MQLSTREAM_APP_ID?)"),
        ({"MQLSTREAM_PARTITIONS": "many"}, 'MQLSTREAM_PARTITIONS: got "many", expected a whole number from 1 to 1000'),
        ({"MQLSTREAM_PARTITIONS": "0"}, "MQLSTREAM_PARTITIONS: got 0, expected a whole number from 1 to 1000"),
        ({"MQLSTREAM_PARTITIONS": "1.5"}, 'MQLSTREAM_PARTITIONS: got "1.5", expected a whole number from 1 to 1000'),
        ({"MQLSTREAM_PUBLISH_SCORES": "perhaps"}, 'MQLSTREAM_PUBLISH_SCORES: got "perhaps", expected true or false'),
        (
            {"MQLSTREAM_BOOTSTRAP_SERVERS": "kafka"},
            'MQLSTREAM_BOOTSTRAP_SERVERS: got "kafka", expected host:port, several separated by commas',
        ),
        ({"MQLSTREAM_BOOTSTRAP_SERVERS": "k:0"}, 'MQLSTREAM_BOOTSTRAP_SERVERS: got "k:0", expected host:port, several separated by commas'),
        ({"MQLSTREAM_BOOTSTRAP_SERVERS": " , "}, 'MQLSTREAM_BOOTSTRAP_SERVERS: got "", expected host:port, several separated by commas'),
        ({"MQLSTREAM_HTTP_BIND": "8080"}, 'MQLSTREAM_HTTP_BIND: got "8080", expected host:port'),
        ({"MQLSTREAM_HTTP_BIND": "a:99999"}, 'MQLSTREAM_HTTP_BIND: got "a:99999", expected host:port'),
        (
            {"MQLSTREAM_TOPIC_PREFIX": "mql/"},
            'MQLSTREAM_TOPIC_PREFIX: got "mql/", expected up to 150 letters, digits, dots, dashes and underscores',
        ),
        (
            {"MQLSTREAM_SECURITY_PROTOCOL": "TLS"},
            'MQLSTREAM_SECURITY_PROTOCOL: got "TLS", expected one of PLAINTEXT SSL SASL_PLAINTEXT SASL_SSL',
        ),
        (
            {"MQLSTREAM_SECURITY_PROTOCOL": "SASL_SSL", "MQLSTREAM_SASL_PLAIN_USERNAME": "u"},
            "MQLSTREAM_SASL_PLAIN_PASSWORD: missing, expected with security_protocol SASL_SSL",
        ),
        (
            {"MQLSTREAM_SASL_MECHANISM": "PLAIN"},
            "MQLSTREAM_SASL_MECHANISM: sasl_mechanism is set, expected MQLSTREAM_SECURITY_PROTOCOL SASL_SSL or SASL_PLAINTEXT with it",
        ),
        ({"MQLSTREAM_SSL_KEYFILE": "k.pem"}, "MQLSTREAM_SSL_KEYFILE: ssl_keyfile is set, expected MQLSTREAM_SSL_CERTFILE with it"),
        ({"MQLSTREAM_SOURCES": "topic"}, 'MQLSTREAM_SOURCES: got "topic", ' + SOURCES),
        (
            {"MQLSTREAM_INGEST_FORM_ATTRIBUTES": "job"},
            'MQLSTREAM_INGEST_FORM_ATTRIBUTES: got "job", expected pairs of texts: name=value,name=value in a variable, a map in a file',
        ),
        (
            {"MQLSTREAM_SASL_PLAIN_PASSWORD_FILE": "/no/such/file"},
            "MQLSTREAM_SASL_PLAIN_PASSWORD_FILE: cannot read /no/such/file: No such file or directory",
        ),
        (
            {"MQLSTREAM_SASL_PLAIN_PASSWORD_FILE": "x", "MQLSTREAM_SASL_PLAIN_PASSWORD": "y"},
            "MQLSTREAM_SASL_PLAIN_PASSWORD_FILE: MQLSTREAM_SASL_PLAIN_PASSWORD is set too, expected one of them",
        ),
    ],
)
def test_a_wrong_variable_is_one_clear_line(environ: dict[str, str], text: str) -> None:
    assert complaint(environ) == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("app_id: x\npartition: 3", "mqlstream.yaml:2: partition: unknown setting (did you mean partitions?)"),
        ("partitions: '3'", 'mqlstream.yaml:1: partitions: got "3", expected a whole number from 1 to 1000'),
        ("partitions: true", "mqlstream.yaml:1: partitions: got true, expected a whole number from 1 to 1000"),
        ("app_id: no", "mqlstream.yaml:1: app_id: got false, expected 1 to 150 letters, digits, dots, dashes and underscores"),
        ("app_id: 2026-01-01", "mqlstream.yaml:1: app_id: got 2026-01-01, expected 1 to 150 letters, digits, dots, dashes and underscores"),
        ("publish_scores: 1", "mqlstream.yaml:1: publish_scores: got 1, expected true or false"),
        ("definitions: {a: b}", "mqlstream.yaml:1: definitions: got a map, expected a list of texts"),
        ("definitions: [1]", "mqlstream.yaml:1: definitions: got a list, expected a list of texts"),
        ("definitions: {file: none.txt}", "mqlstream.yaml:1: definitions: cannot read none.txt: No such file or directory"),
        (
            "ingest:\n  form_attributes: {a: 1}",
            "mqlstream.yaml:2: ingest.form_attributes: got a map, " + MAP,
        ),
        (
            "ingest:\n  form_attribute: {}",
            "mqlstream.yaml:2: ingest.form_attribute: unknown setting (did you mean ingest.form_attributes?)",
        ),
        ("sources: [a]", "mqlstream.yaml:1: sources: got a list, " + SOURCES),
        (
            "sources: {a b: segment}",
            'mqlstream.yaml:1: sources: got the topic "a b", expected 1 to 249 letters, digits, dots, dashes and underscores',
        ),
        ("sources: {a: 1}", "mqlstream.yaml:1: sources: a: got 1, expected an adapter's name, or `adapter: name` and its options"),
        ("handoff: yes", "mqlstream.yaml:1: handoff: got no map, expected `name: value` lines below it"),
        ("app_id: a\napp_id: b", "mqlstream.yaml:2: app_id: given before at mqlstream.yaml:1, expected once"),
        ("? [a]\n: b", "mqlstream.yaml:1: got a name that is no text, expected `name: value` lines"),
        (
            "a: \x08",
            'mqlstream.yaml: not YAML: unacceptable character #x0008: special characters are not allowed in "<unicode string>", position 3',
        ),
        ("[a]", "mqlstream.yaml:1: got no map, expected `name: value` lines"),
        ("a: [", "mqlstream.yaml:1:5: not YAML: got the end of the file, expected a value"),
        ("- a\nb: 1", "mqlstream.yaml:2:1: not YAML: got `name: value`, expected a line that goes with those above it"),
        ("a: b\n]", "mqlstream.yaml:2:1: not YAML: got ']', expected a line that goes with those above it"),
        ("a: [1\nb: 2", "mqlstream.yaml:2:2: not YAML: got ':', expected ',' or ']'"),
        ("a: b\n---\nc: d", "mqlstream.yaml:2:1: not YAML: got another document, expected only one"),
        ("a: 1\n  b: 2", "mqlstream.yaml:2:4: not YAML: mapping values are not allowed here"),
        ("sasl_plain_password: 12345", "mqlstream.yaml:1: sasl_plain_password: got a value that is no text, expected text"),
        ("sasl_plain_password_file: 1", "mqlstream.yaml:1: sasl_plain_password_file: got 1, expected a path"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, content: str, text: str) -> None:
    assert complaint({}, written(tmp_path, content)) == text


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    assert complaint({}, tmp_path / "none.yaml") == "--config: cannot read none.yaml: No such file or directory"


@given(
    content=st.text(max_size=60)
    | st.lists(st.sampled_from(["app_id", ":", " ", "\n", "-", "&a", "*a", "<<", "{", "}", "ingest"])).map("".join)
)
def test_any_text_as_a_file_is_settings_or_one_clear_line(content: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(content, encoding="utf-8", errors="replace")
    try:
        result: Settings | str = load(path, {})
    except UsageError as error:
        result = str(error)
    assert isinstance(result, Settings) or "\n" not in result


def test_variables_that_kubernetes_makes_of_a_service_are_none_of_ours() -> None:
    load(
        None,
        {
            "MQLSTREAM_SERVICE_HOST": "10.0.0.1",
            "MQLSTREAM_SERVICE_PORT_HTTP": "8080",
            "MQLSTREAM_PORT": "tcp://10.0.0.1:8080",
            "MQLSTREAM_PORT_8080_TCP": "tcp://10.0.0.1:8080",
            "MQLSTREAM_WEB_PORT_8080_TCP_ADDR": "10.0.0.1",
        },
    )


def secret_settings(tmp_path: Path) -> Settings:
    (tmp_path / "password").write_text("hush-hush\n")
    (tmp_path / "key").write_text("hush-hush-too")
    path = written(tmp_path, "security_protocol: SASL_PLAINTEXT\nsasl_plain_username: kim\nssl_password_file: key\n")
    return load(path, {"MQLSTREAM_SASL_PLAIN_PASSWORD_FILE": str(tmp_path / "password")})


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    settings = secret_settings(tmp_path)
    assert (settings.kafka.sasl_plain_password, settings.kafka.ssl_password) == ("hush-hush", "hush-hush-too")
    assert settings.origins["sasl_plain_password"] == "MQLSTREAM_SASL_PLAIN_PASSWORD_FILE"


def test_an_empty_secret_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("\n")
    with pytest.raises(UsageError, match=r"^MQLSTREAM_SSL_PASSWORD_FILE: .*/password is empty, expected a secret$"):
        load(None, {"MQLSTREAM_SSL_PASSWORD_FILE": str(tmp_path / "password")})


def test_secrets_show_nowhere(tmp_path: Path) -> None:
    settings = secret_settings(tmp_path)
    assert "hush" not in repr(settings)
    rows = {row["setting"]: row["value"] for row in effective(settings)}
    assert rows["sasl_plain_password"] == "********"
    assert rows["sasl_plain_username"] == "kim"
    assert "hush" not in str(rows)


def test_the_token_of_the_web_pages_is_a_secret_too(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hush-hush-hush-hush\n")
    settings = load(None, {"MQLSTREAM_HTTP_TOKEN_FILE": str(tmp_path / "token")})
    assert settings.http_token == "hush-hush-hush-hush"
    assert "hush" not in repr(settings)
    assert {row["setting"]: row["value"] for row in effective(settings)}["http_token"] == "********"


@pytest.mark.parametrize("token", ["short", "with a space in its middle", "tökén-tökén-tökén-tökén", "a-tab-at-the-end-of-it\t"])
def test_a_token_that_protects_nothing_or_fits_no_header_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(None, {"MQLSTREAM_HTTP_TOKEN": token})
    told = f"http_token has {len(token)} characters, expected 16 or more, ASCII and without spaces"
    assert str(caught.value) == f"MQLSTREAM_HTTP_TOKEN: {told}"


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"MQLSTREAM_HTTP_BIND": "0.0.0.0:8081"}, "http://0.0.0.0:8081"),
        ({"MQLSTREAM_HTTP_BIND": "0.0.0.0:8081", "MQLSTREAM_HTTP_ADVERTISE": "[fd00::7]:80"}, "http://[fd00::7]:80"),
    ],
)
def test_other_workers_find_a_worker_where_it_advertises_or_else_where_it_listens(variables: dict[str, str], url: str) -> None:
    settings = load(None, variables)
    assert settings.http_url == url
    assert settings.http_everywhere == ("MQLSTREAM_HTTP_BIND" in variables)


def test_every_setting_is_shown_with_its_value_and_origin() -> None:
    rows = {row["setting"]: row for row in effective(load(None, {"MQLSTREAM_DEFINITIONS": "a.yaml,b", "HOME": "/h"}))}
    assert list(rows) == [field.name for field in FIELDS]
    assert (rows["definitions"]["value"], rows["definitions"]["from"]) == (["a.yaml", "b"], "MQLSTREAM_DEFINITIONS")
    assert rows["bootstrap_servers"]["value"] == ["localhost:9092"]
    json.dumps(list(rows.values()))


def test_config_show_prints_all_settings(tmp_path: Path) -> None:
    path = written(tmp_path, "partitions: 4")
    done = CliRunner(env={"MQLSTREAM_APP_ID": "eu"}).invoke(main, ["config", "show", "--config", str(path), "--format", "json"])
    rows = {row["setting"]: row for row in json.loads(done.stdout)}
    assert done.exit_code == 0
    assert (rows["app_id"]["value"], rows["app_id"]["from"]) == ("eu", "MQLSTREAM_APP_ID")
    assert (rows["partitions"]["value"], rows["partitions"]["from"]) == (4, f"{path}:1")


def test_config_show_of_a_wrong_setting_is_exit_2_and_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mqlstream", "config", "show"],
        env={"MQLSTREAM_PARTITIONS": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == 'Error: MQLSTREAM_PARTITIONS: got "x", expected a whole number from 1 to 1000\n'


def test_the_reference_file_is_what_the_descriptions_say() -> None:
    assert (CONFIG / "reference.yaml").read_text() == reference(), "write mqlstream.config.show.reference() to config/reference.yaml"


def test_the_reference_file_can_be_loaded_with_every_setting_uncommented(tmp_path: Path) -> None:
    assert load(CONFIG / "reference.yaml", {}) == load(None, {})
    names = {field.name.rpartition(".")[2] for field in FIELDS}
    lines = []
    for line in reference().splitlines():
        bare = line.lstrip(" ").removeprefix("# ")
        is_setting = line.lstrip(" ").startswith("# ") and bare.partition(":")[0] in names
        lines.append(line.replace("# ", "", 1) if is_setting else line)
    text = "\n".join(lines).replace("security_protocol: PLAINTEXT", "security_protocol: SASL_SSL")
    settings = load(written(tmp_path, text), {})
    assert {name for name, origin in settings.origins.items() if origin == "default"} == set()
    assert settings.partitions == 12


def test_the_minimal_file_is_sound() -> None:
    settings = load(CONFIG / "minimal.yaml", {})
    assert settings.definitions == (CONFIG / "b2b-default.yaml",)
    assert load(CONFIG / "minimal.yaml", {}).kafka == KafkaSettings()


def test_a_plain_connection_needs_little() -> None:
    assert kafka_kwargs(load(None, {})) == {
        "bootstrap_servers": ["localhost:9092"],
        "client_id": "mqlstream",
        "security_protocol": "PLAINTEXT",
    }


def test_a_secure_connection_has_a_context_and_a_login() -> None:
    environ = {
        "MQLSTREAM_SECURITY_PROTOCOL": "SASL_SSL",
        "MQLSTREAM_SASL_MECHANISM": "SCRAM-SHA-512",
        "MQLSTREAM_SASL_PLAIN_USERNAME": "kim",
        "MQLSTREAM_SASL_PLAIN_PASSWORD": "hush",
        "MQLSTREAM_SSL_CHECK_HOSTNAME": "false",
    }
    kwargs: dict[str, Any] = kafka_kwargs(load(None, environ))
    context = kwargs.pop("ssl_context")
    assert isinstance(context, ssl.SSLContext)
    assert (context.check_hostname, context.verify_mode) == (False, ssl.CERT_REQUIRED)
    assert kwargs == {
        "bootstrap_servers": ["localhost:9092"],
        "client_id": "mqlstream",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "kim",
        "sasl_plain_password": "hush",
    }


def test_certificates_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")

    def complaint_of(**variables: str) -> str:
        environ = {f"MQLSTREAM_{name}": value for name, value in variables.items()}
        with pytest.raises(UsageError) as caught:
            kafka_kwargs(load(None, {"MQLSTREAM_SECURITY_PROTOCOL": "SSL", **environ}))
        return str(caught.value)

    assert complaint_of(SSL_CAFILE="/no/ca.pem") == (
        "MQLSTREAM_SSL_CAFILE: cannot use /no/ca.pem: No such file or directory; expected certificates (PEM)"
    )
    assert complaint_of(SSL_CAFILE=str(junk)).endswith("junk.pem: no certificate or crl found; expected certificates (PEM)")
    assert complaint_of(SSL_CERTFILE=str(junk)).startswith(f"MQLSTREAM_SSL_CERTFILE: cannot use {junk}: ")
