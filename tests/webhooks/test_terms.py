"""What a person gives for a webhook."""

import pytest

from authsvc.errors import InputRefused
from authsvc.upstreams.origin import Origin
from authsvc.webhooks.event import SELECTABLE, EventType
from authsvc.webhooks.terms import MAX_URL, parse_types, parse_url


@pytest.mark.parametrize(
    ("text", "origin", "path"),
    [
        ("https://hooks.example.com", Origin("https", "hooks.example.com", 443), "/"),
        ("https://Hooks.Example.com/In/x?a=b&c=%20", Origin("https", "hooks.example.com", 443), "/In/x?a=b&c=%20"),
        ("https://hooks.example.com?a=b", Origin("https", "hooks.example.com", 443), "/?a=b"),
        ("HTTPS://hooks.example.com:8443/@me", Origin("https", "hooks.example.com", 8443), "/@me"),
        ("http://10.0.0.5:8080/in", Origin("http", "10.0.0.5", 8080), "/in"),
        ("https://[2001:db8::1]/in", Origin("https", "2001:db8::1", 443), "/in"),
        ("https://bücher.example/in", Origin("https", "xn--bcher-kva.example", 443), "/in"),
    ],
)
def test_urls(text: str, origin: Origin, path: str) -> None:
    """Host in its one spelling; path and query as they were typed."""
    assert parse_url(text) == (origin, path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "begins with https://"),
        ("hooks.example.com/in/s3cr3t", "begins with https://"),
        ("ftp://hooks.example.com/s3cr3t", "and not by ftp://"),
        ("https://me:s3cr3t@hooks.example.com/", "has a name or a password"),
        ("https://hooks.example.com/in#s3cr3t", "has a fragment"),
        ("https://hooks.example.com/s3cr3t x", "write them as %20"),
        ("https://hooks.example.com/s3cr3t\nHost: x", "write them as %20"),
        ("https://hooks.example.com/s3cr3t\r\n", "write them as %20"),
        ("https://hooks.example.com/s3cr3tü", "write them as %20"),
        ("https://hooks.example.com\\@s3cr3t/", "has a name or a password"),
        ("https:///s3cr3t", "begins with https://"),
        ("https://2130706433/s3cr3t", "is not an IPv4 address"),
        ("https://hooks.example.com:99999/s3cr3t", "the port must be a number"),
        ("https://hooks .example.com/s3cr3t", "begins with https://"),
        ("https://hooks.example.com/s3cr3t" + "x" * MAX_URL, "longer than"),
    ],
)
def test_refused_urls(text: str, words: str) -> None:
    """One sentence says what is wrong, and repeats nothing that may be a secret."""
    with pytest.raises(InputRefused, match=words) as refused:
        parse_url(text)
    assert (refused.value.code, refused.value.field) == ("url_invalid", "url")
    assert "s3cr3t" not in str(refused.value)


def test_types() -> None:
    """Each once; nothing is everything."""
    assert parse_types(None) is None
    assert parse_types(["image.pushed", "license.ending", "image.pushed"]) == (EventType.PUSHED, EventType.ENDING)
    assert parse_types(SELECTABLE) == SELECTABLE


@pytest.mark.parametrize(
    ("types", "code"),
    [
        ([], "value_missing"),
        (["webhook.test"], "webhook_type_invalid"),
        (["license"], "webhook_type_invalid"),
        (["image.pushed", ""], "webhook_type_invalid"),
    ],
)
def test_refused_types(types: list[str], code: str) -> None:
    """A test is not to be chosen, and a list has at least one."""
    with pytest.raises(InputRefused) as refused:
        parse_types(types)
    assert (refused.value.code, refused.value.field) == (code, "types")
