"""Urls by example, and against the standard library's reading of them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqlstream.ingest.urls import MAX_PARAMETERS, derive, parameters, split


@pytest.mark.parametrize(
    ("url", "host", "path", "query"),
    [
        ("https://acme.example", "acme.example", "/", ""),
        ("https://acme.example?a=1", "acme.example", "/", "a=1"),
        ("HTTP://User:pw@ACME.example:80/A%2FB;x?b#c?d", "acme.example", "/A%2FB;x", "b"),
        ("https://[2001:DB8::1]:8443/x", "2001:db8::1", "/x", ""),
        ("//cdn.acme.example/x", "cdn.acme.example", "/x", ""),
        ("/pricing?next=https://other.example/", "", "/pricing", "next=https://other.example/"),
        ("/a//b", "", "/a//b", ""),
        ("pricing", "", "pricing", ""),
        ("?a=1", "", "/", "a=1"),
        ("#top", "", "/", ""),
        ("https:///x", "", "/x", ""),
        ("  https://acme.example/x \n", "acme.example", "/x", ""),
        ("", "", "/", ""),
        (" ", "", "/", ""),
        ("mailto:jane@acme.example?subject=a", "", "", "subject=a"),
        ("JavaScript:void(0)", "", "", ""),
        ("tel:+49", "", "", ""),
        ("acme.example:80/x", "", "acme.example:80/x", ""),
    ],
)
def test_a_url_is_split_into_host_path_and_query(url: str, host: str, path: str, query: str) -> None:
    assert split(url) == (host, path, query)


_word = st.text(st.characters(codec="ascii", exclude_characters="[]", min_codepoint=33), max_size=12)


@given(st.tuples(st.sampled_from(["https://", "//", "/", "http://a.example/"]), _word, _word).map("".join))
def test_splitting_agrees_with_the_standard_library(url: str) -> None:
    expected = urlsplit(url)
    host, path, query = split(url)
    assert (host, path, query) == (expected.netloc.rpartition("@")[2].partition(":")[0].lower(), expected.path or "/", expected.query)


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_parameters_agree_with_the_standard_library(text: str) -> None:
    expected = {name: value for name, value in parse_qsl(text, keep_blank_values=True) if name}
    assert parameters(text) == expected


def test_no_more_parameters_are_read_than_the_limit() -> None:
    text = "&".join(f"p{number}={number}" for number in range(MAX_PARAMETERS + 50))
    assert len(parameters(text)) == MAX_PARAMETERS


def test_explicit_fields_win_and_null_is_none() -> None:
    body: dict[str, Any] = {"path": "/own", "host": None, "utm": {"source": "own"}}
    derive(body, "https://acme.example/x?utm_source=ads")
    assert body == {"path": "/own", "host": "acme.example", "query": {"utm_source": "ads"}, "utm": {"source": "own"}}


def test_a_url_that_leads_to_no_page_has_no_path() -> None:
    body: dict[str, Any] = {}
    derive(body, "mailto:jane@acme.example?utm_source=ads")
    assert body == {"query": {"utm_source": "ads"}, "utm": {"source": "ads"}}
    body = {"path": "/own"}
    derive(body, "tel:+49")
    assert body == {"path": "/own"}


def test_campaign_parameters_are_read_from_an_explicit_query_too() -> None:
    body: dict[str, Any] = {"query": {"utm_campaign": "spring", "utm_": "x"}}
    derive(body, "https://acme.example/")
    assert body["utm"] == {"campaign": "spring"}


def test_an_encoded_name_of_a_campaign_parameter_is_read() -> None:
    body: dict[str, Any] = {}
    derive(body, "https://acme.example/?utm%5Fsource=ads")
    assert body["utm"] == {"source": "ads"}
