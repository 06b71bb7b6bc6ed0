"""The bound address and the public URL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import SetupRefused
from authsvc.listen_address import ListenAddress, parse_listen
from authsvc.public_url import parse_public_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:5000", ListenAddress("127.0.0.1", 5000)),
        ("localhost:5000", ListenAddress("127.0.0.1", 5000)),
        ("0.0.0.0:80", ListenAddress("0.0.0.0", 80)),
        ("[::1]:5000", ListenAddress("::1", 5000)),
        ("[0:0::1]:5000", ListenAddress("::1", 5000)),
    ],
)
def test_listen(text: str, expected: ListenAddress) -> None:
    """An IP address and a port are taken in their usual spellings."""
    assert expected == parse_listen(text)


@pytest.mark.parametrize(
    "text",
    ["", "5000", ":5000", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "::1:5000", "registry.example.com:5000",
     "127.0.0.1:5000\n", "127.0.0.1:\u0665000", "[127.0.0.1:5000", "127.0.0.1;x:5000", "http://127.0.0.1:5000"],
)  # fmt: skip
def test_listen_refused(text: str) -> None:
    """Anything else is refused with a sentence that names the option."""
    with pytest.raises(SetupRefused, match=r"^--listen "):
        parse_listen(text)


def test_every_address_is_reached_over_loopback() -> None:
    """A stack that binds every address is asked on this machine's own."""
    assert [ListenAddress(host, 1).connect_host for host in ("0.0.0.0", "::", "10.0.0.7")] == [
        "127.0.0.1",
        "::1",
        "10.0.0.7",
    ]


@pytest.mark.parametrize(
    ("text", "url", "authority"),
    [
        ("http://localhost:5000", "http://localhost:5000", "localhost:5000"),
        ("https://Registry.Example.com/", "https://registry.example.com", "registry.example.com"),
        ("https://Registry.Example.com:443", "https://registry.example.com", "registry.example.com"),
        ("https://registry.example.com:00443", "https://registry.example.com", "registry.example.com"),
        ("https://registry.example.com:80", "https://registry.example.com:80", "registry.example.com:80"),
        ("http://127.0.0.1:80", "http://127.0.0.1:80", "127.0.0.1:80"),
        ("http://registry.example.com", "http://registry.example.com", "registry.example.com"),
        ("https://[0::1]:443", "https://[::1]", "[::1]"),
        ("https://localhost:443", "https://localhost", "localhost"),
        # docker takes registry/app for a repository of docker.io.
        ("HTTPS://Registry", "https://registry:443", "registry:443"),
        ("https://registry:443", "https://registry:443", "registry:443"),
        ("http://registry", "http://registry:80", "registry:80"),
        ("http://[0::1]:5000", "http://[::1]:5000", "[::1]:5000"),
    ],
)
def test_public_url(text: str, url: str, authority: str) -> None:
    """Scheme, host and port come out in one spelling, and the realm below them."""
    parsed = parse_public_url(text)

    assert (url, authority, f"{url}/auth/token") == (parsed.text, parsed.authority, parsed.realm)


@pytest.mark.parametrize(
    "text",
    ["http://registry.example.com:443", "https://registry.example.com.", "", "localhost:5000",
     "ftp://r", "http://", "http://r/path", "http://r?x", "http://r#x", "http://u:p@r",
     "http://r:0", "http://r:65536", "http://r:", "http://-r", "http://r_r", "http://r r", "http://r\n",
     'http://r"', "http://r;", "http://r$host", "http://rё", "http://[::g]", "http://[1:2]", "http://" + "a" * 64,
     "http://" + ".".join(["a" * 60] * 5)],
)  # fmt: skip
def test_public_url_refused(text: str) -> None:
    """Anything beyond scheme, host and port is refused with a sentence that names the option."""
    with pytest.raises(SetupRefused, match=r"^--public-url "):
        parse_public_url(text)


def test_the_ascii_form_of_a_host_name_is_told() -> None:
    """Image references are ASCII, so the name that clients will have to type is the one to give."""
    with pytest.raises(SetupRefused, match=r"write the host name in its ASCII form, xn--bcher-kva\.example$"):
        parse_public_url("https://bücher.example/")


@pytest.mark.parametrize(
    ("text", "host"),
    [("https://[::1]", "[::1]"), ("http://[::1]:5000", "[::1]"), ("https://r.test", "r.test"), ("http://r:1", "r")],
)
def test_the_host_alone(text: str, host: str) -> None:
    """The port is left out, also behind an IPv6 address."""
    assert host == parse_public_url(text).host


@given(st.text())
def test_public_url_is_total(text: str) -> None:
    """Whatever is typed is either refused or parses to something that parses to itself."""
    try:
        parsed = parse_public_url(f"http://{text}")
    except SetupRefused:
        return

    assert parsed == parse_public_url(parsed.text)
    assert set(parsed.authority) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-:[]")


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("https://registry.example.com", "registry.example.com"),
        ("https://registry.example.com:8443", "registry.example.com"),
        ("https://registry:5000", "registry"),
        ("http://localhost:5000", "localhost"),
        ("https://localhost", "localhost"),
        ("http://registry.example.com", None),
        ("http://127.0.0.1:5000", None),
        ("https://127.0.0.1:5000", None),
        ("https://[2001:db8::1]", None),
        ("http://[::1]:5000", None),
    ],
)
def test_where_browsers_make_passkeys(text: str, host: str | None) -> None:
    """Over TLS for names, never for addresses, and on this machine."""
    assert parse_public_url(text).passkey_host == host
