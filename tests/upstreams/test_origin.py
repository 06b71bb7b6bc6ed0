"""Origins of external registries: one spelling for one place, and nothing that a resolver could read in two ways."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import InputRefused
from authsvc.upstreams.origin import Origin, parse_origin, same_origin


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://quay.io", Origin("https", "quay.io", 443)),
        ("https://quay.io/", Origin("https", "quay.io", 443)),
        ("HTTPS://Quay.IO:443", Origin("https", "quay.io", 443)),
        ("https://nexus.example.com:8443", Origin("https", "nexus.example.com", 8443)),
        ("https://registry", Origin("https", "registry", 443)),
        ("https://192.0.2.7:5000", Origin("https", "192.0.2.7", 5000)),
        ("https://[2001:DB8::0:7]", Origin("https", "2001:db8::7", 443)),
        ("https://[2001:db8::7]:5000", Origin("https", "2001:db8::7", 5000)),
        ("https://B\u00fccher.example", Origin("https", "xn--bcher-kva.example", 443)),
        ("https://b\u00fccher\u3002example", Origin("https", "xn--bcher-kva.example", 443)),
        ("https://\uff51uay.io", Origin("https", "quay.io", 443)),
    ],
)
def test_spellings(text: str, expected: Origin) -> None:
    """Case, the default port, a final slash and Unicode forms of a name make no other origin."""
    assert expected == parse_origin(text, plain_http=False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("quay.io", "has no scheme; write https://quay.io"),
        ("", "is not the address of a registry"),
        ("https://", "is not a host name"),
        ("https://quay.io ", "is not the address of a registry"),
        ("https://quay.io\n", "is not the address of a registry"),
        ("https://qu\tay.io", "is not the address of a registry"),
        ("http://quay.io", "is without TLS, which is accepted only inside private networks"),
        ("ftp://quay.io", "begins with ftp://; a registry is reached by https://"),
        ("https://user:secret@quay.io", "has a name or a password in it"),
        ("https://quay.io@evil.example", "has a name or a password in it"),
        ("https://example.jfrog.io/artifactory", "give only https://example.jfrog.io"),
        ("https://quay.io//", "has something behind the host"),
        ("https://quay.io/?a=b", "has something behind the host"),
        ("https://quay.io?a=b", "has something behind the host"),
        ("https://quay.io#x", "has something behind the host"),
        ("https://quay.io/#", "has something behind the host"),
        ("https://quay.io\\@evil.example", "has a name or a password in it"),
        ("https://quay.io\\evil.example", "is not a host name"),
        ("https://quay.io:0", "the port must be a number"),
        ("https://quay.io:65536", "the port must be a number"),
        ("https://quay.io:", "the port must be a number"),
        ("https://quay.io:+443", "the port must be a number"),
        ("https://quay.io:\u0664\u0664\u0663", "the port must be a number"),
        ("https://quay.io.", "is not a host name"),
        ("https://localhost.", "is not a host name"),
        ("https://quay..io", "is not a host name"),
        ("https://-quay.io", "is not a host name"),
        ("https://qu_ay.io", "is not a host name"),
        ("https://quay%2eio", "is not a host name"),
        ("https://" + "a" * 64 + ".io", "is not a host name"),
        ("https://" + "a." * 127 + "io", "is not a host name"),
        ("https://" + "a" * 2_000_000, "is not the address of a registry"),
        ("https://2130706433", "is not an IPv4 address"),
        ("https://0x7f.1", "is not an IPv4 address"),
        ("https://127.1", "is not an IPv4 address"),
        ("https://0177.0.0.1", "is not an IPv4 address"),
        ("https://127.0.0.0x1", "is not an IPv4 address"),
        ("https://example.0x", "is not an IPv4 address"),
        ("https://\uff11\uff12\uff17.1", "is not an IPv4 address"),
        ("https://[::1", "is not the address of a registry"),
        ("https://[quay.io]", "is not"),
        ("https://[fe80::1%25eth0]", "zone"),
        ("https://[fe80::1%eth0]", "zone"),
        ("https://[::1]x", "is not"),
    ],
)  # fmt: skip
def test_refused_addresses(text: str, reason: str) -> None:
    """Anything else is refused with what is wrong about it, and never repaired by a guess."""
    with pytest.raises(InputRefused) as refused:
        parse_origin(text, plain_http=False)

    assert reason in str(refused.value)
    assert (refused.value.code, refused.value.field) == ("url_invalid", "url")
    assert len(str(refused.value)) < 500


def test_a_password_in_an_address_is_not_repeated() -> None:
    """The sentence about it goes to screens and logs."""
    with pytest.raises(InputRefused) as refused:
        parse_origin("https://user:hunter2@quay.io", plain_http=False)

    assert "hunter2" not in str(refused.value)


def test_plain_http_where_it_is_allowed() -> None:
    """Whether the network is one where it may be used is decided by its address."""
    assert Origin("http", "nexus.internal", 80) == parse_origin("http://nexus.internal", plain_http=True)


HOSTS = st.one_of(
    st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z]", fullmatch=True), min_size=1, max_size=4).map(".".join),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)


@given(HOSTS, st.integers(1, 65535), st.sampled_from(["https", "http"]), st.booleans())
def test_one_spelling(host: str, port: int, scheme: str, upper: bool) -> None:
    """The text of an origin is read as the same origin, whatever way it was typed first."""
    origin = parse_origin(f"{scheme}://{host.upper() if upper else host}:{port}", plain_http=True)

    assert origin == parse_origin(origin.text, plain_http=True)
    assert (origin.scheme, origin.port) == (scheme, port)


@given(
    st.text(st.sampled_from("ab1.:/@[]%#?\\-x0\u3002\uff0e\u00df \n"), max_size=24).map(lambda rest: f"https://{rest}")
)
def test_what_is_accepted_is_plain(text: str) -> None:
    """Of any text, an accepted host is an IP address in canonical form or a name that no resolver takes for one."""
    try:
        origin = parse_origin(text, plain_http=False)
    except InputRefused:
        return
    try:
        assert origin.host == str(ipaddress.ip_address(origin.host))
    except ValueError:
        assert not origin.host.split(".")[-1].isdigit()
        assert origin.host.isascii()
        assert set(origin.host) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
        assert not origin.host.endswith(".")


@given(st.tuples(*[st.sampled_from([("https", "http"), ("a.io", "b.io"), (443, 444)][n]) for n in range(3)] * 2))
def test_same_origin(parts: tuple[str, str, int, str, str, int]) -> None:
    """Scheme, host and port must all be the same."""
    assert same_origin(Origin(*parts[:3]), Origin(*parts[3:])) == (parts[:3] == parts[3:])
