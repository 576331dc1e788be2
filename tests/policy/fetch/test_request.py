"""Requests: which send something, which stay inside, which nobody can read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.model import Call, Identity, Json, Trust, Verdict
from proxy.policy.fetch.hosts import host_of
from proxy.policy.fetch.places import is_metadata, is_private
from proxy.policy.fetch.request import Request, read_request
from proxy.policy.ruleset import Assessment, RuleSet


def flags(request: Request) -> str:
    names = ("sends", "writes", "private", "metadata", "has_credentials")
    return " ".join([*(n for n in names if getattr(request, n)), *(["odd"] if request.why else [])])


URLS = [
    ("https://docs.example/guide/start", "", "a page"),
    ("https://docs.example/search?q=how+to+write+a+rule&page=2", "", "a search"),
    ("https://docs.example/How_to_write_a_rule_for_a_budget_in_one_hour", "", "a long title"),
    ("https://docs.example/Donaudampfschifffahrtsgesellschaftskapitaen", "", "one long word"),
    ("https://docs.example/v1/orders/550e8400-e29b-41d4-a716-446655440000", "", "a UUID"),
    ("https://docs.example/2026/11/25/index.html", "", "a date"),
    ("https://a.b.c.docs.example/", "", "sub-domains"),
    ("https://x.example/?q=" + "a" * 300, "sends", "a long query"),
    ("https://x.example/" + "a/" * 200, "sends", "a long path"),
    ("https://x.example/?d=aGVsbG8gd29ybGQgdGhpcyBpcyBzZWNyZXQ1", "sends", "base64 in the query"),
    ("https://x.example/p/c2VjcmV0IHBhc3N3b3JkIDEyMzQ1Njc4", "sends", "base64 in the path"),
    ("https://x.example/p/736563726574207061737377", "sends", "hex in the path"),
    ("https://x.example/p/c2VjcmV0IHBhc3N3%62%33JkIDEyMzQ1", "sends", "base64, percent-encoded"),
    ("https://onsxg4tfoqqha5lcnruwgidfpb2ha.x.example/", "sends", "base32 in a sub-domain"),
    ("https://" + ".".join(["abcdefghij"] * 10) + ".x.example/", "sends", "many labels"),
    ("https://x.example/?api_key=1", "has_credentials", "a key in the query"),
    ("https://x.example/?X-Amz-Signature=1", "has_credentials", "a signature in the query"),
    ("https://x.example/?monkey=1", "", "a name that only ends in key"),
    ("https://user:pw@x.example/", "has_credentials", "a password in the URL"),
    ("http://localhost:3000/", "private", "this machine"),
    ("http://app.localhost/", "private", "this machine, by a sub-domain"),
    ("http://127.0.0.2/", "private", "loopback"),
    ("http://0.0.0.0/", "private", "unspecified"),
    ("http://10.1.2.3/", "private", "RFC 1918, 10/8"),
    ("http://172.16.0.1/", "private", "RFC 1918, 172.16/12"),
    ("http://192.168.1.1/", "private", "RFC 1918, 192.168/16"),
    ("http://100.64.0.1/", "private", "carrier NAT"),
    ("http://172.32.0.1/", "", "beside RFC 1918"),
    ("http://224.0.0.1/", "private", "multicast"),
    ("http://0xa9fea9fe/", "private metadata", "metadata in hexadecimal"),
    ("http://169.254.169.254/latest/meta-data/", "private metadata", "metadata"),
    ("http://[::ffff:169.254.169.254]/", "private metadata", "metadata in IPv6"),
    ("http://[64:ff9b::a9fe:a9fe]/", "private metadata", "metadata by NAT64"),
    ("http://[2002:a9fe:a9fe::]/", "private metadata", "metadata by 6to4"),
    ("http://[fd00:ec2::254]/", "private metadata", "metadata, IPv6"),
    ("http://169.254.170.2/v2/credentials", "private metadata", "task credentials"),
    ("http://metadata.google.internal/", "private metadata", "metadata by name"),
    ("http://METADATA.google.internal./", "private metadata", "metadata by name, spelled oddly"),
    ("http://100.100.100.200/", "private metadata", "metadata, another cloud"),
    ("http://169.254.169.254.nip.io/", "private metadata", "metadata by a name that spells it"),
    ("http://10.0.0.1.nip.io/", "private", "a name that spells an address"),
    ("http://10-0-0-1.sslip.io/", "private", "the same with dashes"),
    ("http://7f000001.nip.io/", "private", "the same in hexadecimal"),
    ("http://8.8.8.8.nip.io/", "", "a public address spelled"),
    ("http://localtest.me/", "private", "a name that is this machine"),
    ("http://[::1]/", "private", "IPv6 loopback"),
    ("http://[fe80::1]/", "private", "IPv6 link-local"),
    ("http://[fc00::1]/", "private", "IPv6 unique local"),
    ("http://[2606:4700:4700::1111]/", "", "IPv6 public"),
    ("http://db/", "private", "a name without a dot"),
    ("http://billing.internal/", "private", "an inside name"),
    ("http://printer.local/", "private", "a name of the local network"),
    ("https:\\\\x.example\\", "sends odd", "backslashes"),
    ("file:///etc/passwd", "sends private odd", "a file"),
    ("", "sends private odd", "nothing"),
    ("/path", "sends private odd", "a path"),
]


@pytest.mark.parametrize(("url", "said", "_why"), URLS, ids=[why for _, _, why in URLS])
def test_url(url: str, said: str, _why: str) -> None:
    assert flags(read_request(url)) == said


X = "https://x.example/"


@pytest.mark.parametrize(
    ("method", "body", "headers", "said", "verb"),
    [
        (None, None, None, "", "GET"),
        ("", "", "", "", "GET"),
        ("get", None, None, "", "GET"),
        ("HEAD", None, None, "", "HEAD"),
        (" options ", None, None, "", "OPTIONS"),
        (None, "x", None, "sends writes", "POST"),
        (None, {"a": 1}, None, "sends writes", "POST"),
        ("GET", "x", None, "sends", "GET"),
        ("POST", None, None, "sends writes", "POST"),
        ("DELETE", None, None, "sends writes", "DELETE"),
        ("PROPFIND", None, None, "sends writes", "PROPFIND"),
        ("G\u0395T", None, None, "sends writes odd", "POST"),
        ("GET / HTTP/1.1\r\nX: y", None, None, "sends writes odd", "POST"),
        (["GET"], None, None, "sends writes odd", "POST"),
        (None, None, {"Accept": "x"}, "", "GET"),
        (None, None, {"AUTHORIZATION": "x"}, "has_credentials", "GET"),
        (None, None, [["Cookie", "x"]], "has_credentials", "GET"),
        (None, None, [{"name": "X-Api-Key", "value": "x"}], "has_credentials", "GET"),
        (None, None, [{"X-Auth-Token": "x"}], "has_credentials", "GET"),
        (None, None, ["Authorization: x"], "has_credentials", "GET"),
        (None, None, "Accept: y\nX-Vault-Token: x", "has_credentials", "GET"),
        (None, None, '{"Authorization": "x"}', "sends odd", "GET"),
        (None, None, 7, "sends odd", "GET"),
        (None, None, [7], "sends odd", "GET"),
    ],
)
def test_arguments(method: Json, body: Json, headers: Json, said: str, verb: str) -> None:
    request = read_request(X, method, body, headers)
    assert (flags(request), request.method) == (said, verb)


@pytest.mark.parametrize("url", [None, 7, ["https://x.example"], {"href": X}])
def test_a_url_that_is_no_text_is_the_worst(url: Json) -> None:
    assert flags(read_request(url)) == "sends private odd"


def test_what_is_shown_of_a_url_has_no_query_and_no_password() -> None:
    for url in ("https://user:hunter2@x.example/a?t=hunter2#hunter2", "http://hunter2@[x?hunter2"):
        request = read_request(url)
        assert "hunter2" not in repr(request)


def test_a_body_has_about_its_size() -> None:
    assert read_request(X, "POST", "\u00fc").body_bytes == 2
    assert 1_000 < read_request(X, "POST", {"a": ["x" * 1_000]}).body_bytes < 1_100


def test_a_deep_body_is_no_way_round() -> None:
    deep: Any = "x"
    for _ in range(5_000):
        deep = [deep]
    assert read_request(X, "POST", deep).body_bytes > 0


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(st.none(), st.text(), st.integers(), st.lists(st.text())),
    st.one_of(st.none(), st.text(max_size=8)),
    st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)),
    st.recursive(st.none() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)),
)  # fmt: skip
def test_any_arguments_never_raise(url: Json, method: Json, body: Json, headers: Json) -> None:
    assert isinstance(read_request(url, method, body, headers), Request)


@given(st.text(max_size=60))
def test_any_host_is_inside_or_not(text: str) -> None:
    host = host_of(text)
    assert not is_metadata(host) or is_private(host)


RULES = RuleSet.load_text(
    "r.yaml",
    """
version: 1
tools:
  - fetch: [fetch, http_request]
    url: args.url
    method: args.method
    body: args.body
    headers: args.headers
    effects:
      - {kind: data.fetch, target: req.host, when: "!req.sends"}
      - {kind: data.egress, target: req.host, reversibility: irreversible, when: req.sends}
gates:
  - {name: inside, when: 'tool == "fetch" && effect.target == "169.254.169.254"', verdict: block}
""",
)


def assess(arguments: Json) -> Assessment:
    who = Identity("s", "a", Trust.CREDENTIAL, Trust.CREDENTIAL)
    return RULES.assess(Call("c", "fetch", arguments, "openai.chat"), who)


@pytest.mark.parametrize(
    ("arguments", "kinds", "verdict"),
    [
        ({"url": X}, ["data.fetch x.example"], Verdict.ALLOW),
        ({"url": X, "method": "POST"}, ["data.egress x.example"], Verdict.ALLOW),
        ({"url": X, "body": {"a": 1}}, ["data.egress x.example"], Verdict.ALLOW),
        ({"url": "http://0xa9fea9fe/"}, ["data.fetch 169.254.169.254"], Verdict.BLOCK),
        ({"url": "https:x.example"}, ["data.egress x.example"], Verdict.HOLD),
        ({}, None, Verdict.HOLD),
        (
            {"url": [X, "https://y.example"]},
            ["data.fetch x.example", "data.fetch y.example"],
            Verdict.ALLOW,
        ),
        ({"url": [X] * 51}, None, Verdict.HOLD),
        ({"url": [X, 7]}, None, Verdict.HOLD),
        ({"url": []}, None, Verdict.HOLD),
        ("https://x.example", None, Verdict.HOLD),
    ],
    ids=[
        "get",
        "post",
        "body",
        "metadata",
        "odd",
        "none",
        "two",
        "many",
        "a number",
        "empty",
        "free-text",
    ],
)
def test_an_entry(arguments: Json, kinds: list[str] | None, verdict: Verdict) -> None:
    found = assess(arguments)
    if kinds is not None:
        assert [f"{c.effect.kind} {c.effect.target}" for c in found.effects] == kinds
    assert max((r.verdict for r in found.reasons), default=Verdict.ALLOW) is verdict
