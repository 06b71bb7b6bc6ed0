"""Challenges of external registries: their grammar, and attack 33: a realm that would take the credential elsewhere.

CVE-2026-33540 (distribution), CVE-2020-15157 (containerd), CVE-2026-48978 (oras-go), GO-2026-6225 (host by substring).
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import UpstreamUnavailable
from authsvc.upstreams.challenge import BASIC, BEARER, Challenge, choose, parse_challenges, token_server
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.origin import Origin
from tests.support.upstream_links import make_link

REGISTRY = make_link(Origin("https", "registry.example.com", 443), token_hosts=("auth.example.org",))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ("Basic", [Challenge(BASIC)]),
        ('Basic realm="Sonatype Nexus"', [Challenge(BASIC, {"realm": "Sonatype Nexus"})]),
        ("bearer realm=x", [Challenge(BEARER, {"realm": "x"})]),
        (
            'Bearer realm="https://a/token",service="a, b",scope="repository:x:pull,push"',
            [Challenge(BEARER, {"realm": "https://a/token", "service": "a, b", "scope": "repository:x:pull,push"})],
        ),
        (r'Bearer realm="a\"b\\c"', [Challenge(BEARER, {"realm": r'a"b\c'})]),
        (
            'Basic realm="a, Bearer realm=b", Bearer realm="https://c/t" , service = s',
            [
                Challenge(BASIC, {"realm": "a, Bearer realm=b"}),
                Challenge(BEARER, {"realm": "https://c/t", "service": "s"}),
            ],
        ),
        ("Negotiate YWJj==, Basic realm=x", [Challenge("negotiate"), Challenge(BASIC, {"realm": "x"})]),
        ("Bearer realm=a, realm=b", [Challenge(BEARER, {"realm": "a"})]),
        ('Bearer realm="open', [Challenge(BEARER)]),
        ("=, ;", []),
    ],
)
def test_the_grammar(header: str, expected: list[Challenge]) -> None:
    """Several challenges in one header, commas and quotes in a value, and what cannot be read."""
    assert list(parse_challenges(header)) == expected


@given(st.text(max_size=300) | st.text('Basic earl="\\, =\t', max_size=3000))
def test_no_header_breaks_the_parser(header: str) -> None:
    """Whatever is sent: a few challenges, soon."""
    assert len(parse_challenges(header)) <= 8


def test_bearer_is_preferred() -> None:
    """A registry that offers both gets a token's request; one with neither has nothing that we can do."""
    both = parse_challenges('Basic realm="x", Bearer realm="https://a/t"')
    assert choose(both) == both[1]
    assert choose(both[:1]) == both[0]
    assert choose(parse_challenges("Digest realm=x")) is None


def server_of(realm: str, link: UpstreamLink = REGISTRY) -> str:
    """Return where a realm leads to."""
    found = token_server(link, Challenge(BEARER, {"realm": realm, "service": "s"}))
    return f"{found.origin.text}{found.target_for('org/app')}"


SCOPE = "service=s&scope=repository%3Aorg%2Fapp%3Apull"


@pytest.mark.parametrize(
    ("realm", "leads_to"),
    [
        ("https://registry.example.com/token", f"https://registry.example.com/token?{SCOPE}"),
        ("https://REGISTRY.example.com:443/token?a=b", f"https://registry.example.com/token?a=b&{SCOPE}"),
        ("https://registry.example.com", f"https://registry.example.com/?{SCOPE}"),
        ("https://auth.example.org/a%2Fb#x", f"https://auth.example.org/a%2Fb?{SCOPE}"),
    ],
)
def test_a_realm_of_the_registry_or_its_token_host(realm: str, leads_to: str) -> None:
    """The path arrives as it was named, with our scope: never the one that the registry asks for."""
    assert server_of(realm) == leads_to


EVIL = [
    *("https://evil.example/token", "http://registry.example.com/token", "https://registry.example.com:8443/token"),
    *("https://registry.example.com.evil.example/", "https://evil-registry.example.com/", "https://example.com/"),
    *("https://other.example.com/", "https://registry/", "https://registry.example.com@evil.example/"),
    *("https://user:pw@registry.example.com/", "https://registry.example.com:443@evil.example/", "https:///token"),
    *("https://", "//registry.example.com/token", "/token", "token", "", "https:registry.example.com/token"),
    *("ftp://registry.example.com/", "file:///etc/passwd", "https://registry.example.com\\@evil.example/"),
    *("https://registry.example.com\t.evil.example/", "https://registry.example.com /", "https://evil.example#x"),
    *("https://auth.example.org:8443/", "http://auth.example.org/", "http://auth.example.org:443/"),
    *("https://auth.example.org.evil.example/", "https://xauth.example.org/", "https://.auth.example.org/"),
    *("https://registry.example.com./token", "https://127.0.0.1/", "https://[::1]/", "https://localhost/"),
    *("https://registry.example.com/\r\nX: y", "https://registry.example.com/\u00e9", "https://registry.example.com:/"),
    *("https://registry.example.com:65979/x", "HTTPS://registry.example.com:99999/", "https://registry。example.com/"),
    f"https://registry.example.com/{'x' * 3000}",
]


@pytest.mark.parametrize("realm", EVIL)
def test_a_realm_that_leads_elsewhere(realm: str) -> None:
    """Another host, port or scheme, a name in front, nothing at all: no credential goes there."""
    with pytest.raises(UpstreamUnavailable) as refused:
        server_of(realm)
    assert refused.value.code == "upstream_answer_invalid"


def test_plain_http_stays_with_itself() -> None:
    """An upstream in an excepted network without TLS has its token server there, or at a token host with TLS."""
    plain = make_link(Origin("http", "10.1.2.3", 5000), token_hosts=("auth.example.org",))
    assert server_of("http://10.1.2.3:5000/token", plain) == f"http://10.1.2.3:5000/token?{SCOPE}"
    for realm in ("http://10.1.2.3/token", "https://10.1.2.3:5000/token", "http://auth.example.org/"):
        with pytest.raises(UpstreamUnavailable):
            server_of(realm, plain)
    assert server_of("https://auth.example.org/", plain).startswith("https://auth.example.org/?")
