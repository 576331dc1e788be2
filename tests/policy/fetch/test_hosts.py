"""Hosts: one spelling for each, and "" where clients would differ about which is meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.fetch.hosts import host_of, read_url

HOSTS = [
    ("https://example.com/a", "example.com", "plain"),
    ("HTTPS://EXAMPLE.com", "example.com", "case"),
    ("https://example.com.", "example.com", "trailing dot"),
    ("https://example.com:8443/x", "example.com", "port"),
    ("https://user:pw@example.com/", "example.com", "user name"),
    ("https://good.example@evil.example/", "evil.example", "user name that looks like a host"),
    ("https://good.example:80@evil.example/", "evil.example", "user name with a port"),
    ("https://evil.example#@good.example/", "evil.example", "fragment ahead of @"),
    ("https://evil.example?@good.example/", "evil.example", "query ahead of @"),
    ("https://evil.example/@good.example/", "evil.example", "path ahead of @"),
    ("https://good.example%40evil.example/", "", "encoded @"),
    ("https://good.example%2Fevil.example/", "", "encoded slash"),
    ("https://good.example%00.evil.example/", "", "encoded NUL"),
    ("https://good.example\\@evil.example/", "", "backslash ahead of @"),
    ("https:\\\\evil.example\\x", "", "backslashes for slashes"),
    ("https://a@b@evil.example/", "", "two @"),
    ("https://ex%61mple.com/", "example.com", "percent-encoded letter"),
    ("https://ex\tam\nple.com/", "example.com", "tab and newline inside"),
    (" \x00https://example.com/ ", "example.com", "blanks around"),
    ("ht\ntps://example.com/", "example.com", "newline in the scheme"),
    ("https:example.com", "example.com", "no slashes"),
    ("https:/example.com", "example.com", "one slash"),
    ("https:///example.com", "example.com", "three slashes"),
    ("//example.com/x", "example.com", "no scheme"),
    ("example.com/x", "example.com", "neither scheme nor slashes"),
    ("example.com:8080/x", "example.com", "host and port alone"),
    ("someone@example.com", "example.com", "a mail address"),
    ("EXAMPLE.com", "example.com", "a host alone"),
    ("https://b\u00fccher.example/", "xn--bcher-kva.example", "IDNA"),
    ("https://B\u00dcCHER.example/", "xn--bcher-kva.example", "IDNA in capitals"),
    ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", "punycode as written"),
    ("https://fa\u00df.example/", "xn--fa-hia.example", "sharp s is a letter of its own"),
    ("https://ex\u0430mple.com/", "xn--exmple-4nf.com", "Cyrillic a is another host"),
    ("https://\uff45xample.com/", "example.com", "full-width letter"),
    ("https://\u24d4xample.com/", "example.com", "circled letter"),
    ("https://example\u3002com/", "example.com", "ideographic full stop"),
    ("https://example\uff0ecom/", "example.com", "full-width full stop"),
    ("https://exa\u00admple.com/", "example.com", "soft hyphen"),
    ("https://exa\u200bmple.com/", "example.com", "zero-width space"),
    ("https://\u2100.example/", "", "a sign that holds a slash"),
    ("http://127.0.0.1/", "127.0.0.1", "IPv4"),
    ("http://127.1/", "127.0.0.1", "IPv4 of two parts"),
    ("http://2130706433/", "127.0.0.1", "decimal IPv4"),
    ("http://0x7f000001/", "127.0.0.1", "hexadecimal IPv4"),
    ("http://0x7f.0.0.0x1/", "127.0.0.1", "mixed IPv4"),
    ("http://017700000001/", "127.0.0.1", "octal IPv4"),
    ("http://0177.0.0.1:80/", "127.0.0.1", "octal part with a port"),
    ("http://\uff11\uff12\uff17.0.0.1/", "127.0.0.1", "full-width digits"),
    ("http://%31%32%37.0.0.1/", "127.0.0.1", "percent-encoded digits"),
    ("http://127.0.0.1./", "127.0.0.1", "IPv4 with a trailing dot"),
    ("http://256.0.0.1/", "", "no IPv4"),
    ("http://1.2.3.4.5/", "", "five parts"),
    ("http://[::1]/", "::1", "IPv6"),
    ("http://[0:0:0:0:0:0:0:1]:80/", "::1", "IPv6 written out"),
    ("http://[::ffff:127.0.0.1]/", "127.0.0.1", "IPv4 in IPv6"),
    ("http://[::ffff:7f00:1]/", "127.0.0.1", "IPv4 in IPv6, hexadecimal"),
    ("http://[::1/", "", "open bracket"),
    ("http://[::1]x/", "", "text behind the bracket"),
    ("http://example.com:99999/", "", "no port"),
    ("http://example.com:8o/", "", "a letter in the port"),
    ("http://exa mple.com/", "", "space inside"),
    ("http://ex<a>mple.com/", "", "angle brackets"),
    ("http://..", "", "dots alone"),
    ("http://", "", "nothing behind the slashes"),
    ("/etc/passwd", "", "a path"),
    ("file:///etc/passwd", "", "file"),
    ("javascript:alert(1)", "", "script"),
    ("data:text/plain,hi", "", "data"),
    ("gopher://evil.example/", "", "another protocol"),
    ("mailto:a@example.com", "", "mailto"),
    ("", "", "empty"),
    ("   ", "", "blank"),
    ("https://" + "a" * 300 + ".example/", "", "longer than a host can be"),
    ("https://example.com/" + "a" * 9_000, "", "longer than is read"),
    ("https://\ud800.example/", "", "surrogate"),
]


@pytest.mark.parametrize(("text", "host", "_why"), HOSTS, ids=[why for _, _, why in HOSTS])
def test_host(text: str, host: str, _why: str) -> None:
    assert host_of(text) == host


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("https:\\\\evil.example", "backslashes in the URL, which clients read differently"),
        ("https://a@b@c.example", "more than one '@' ahead of the host"),
        ("https:example.com", "the URL has no '//' behind its scheme"),
        ("https://exam\tple.com", "tabs or line breaks in the URL"),
        ("file:///etc/passwd", "the scheme 'file' is not HTTP's"),
        ("/etc/passwd", "the URL names no host"),
        ("http://256.1.1.1", "the URL's host ends in a number and is no address"),
        ("http://a b", "the URL's host has characters that no host has"),
    ],
)
def test_an_odd_url_says_why(text: str, why: str) -> None:
    assert read_url(text).why == why


@given(st.text(max_size=100))
def test_any_text_has_a_host_or_none(text: str) -> None:
    host = host_of(text)
    assert host == host.strip()
    assert host.isascii()


@given(
    st.text(alphabet="ht:/\\@.[]%?#a1\t 0x\u3002\u00df\u200b-", max_size=40),
    st.sampled_from(["http://", "https:", ""]),
)
def test_marks_in_any_order_never_raise(text: str, start: str) -> None:
    assert host_of(start + text).isascii()
