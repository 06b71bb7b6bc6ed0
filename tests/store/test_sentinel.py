"""Where the sentinels are: the address, read back."""

import pytest

from authsvc.errors import SetupRefused
from authsvc.redaction import Secret
from authsvc.store.connection import Connection
from authsvc.store.sentinel_url import SentinelUrl, parse_sentinel_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "redis+sentinel://authsvc:p%40ss@a,b:1234,[::1]:5,[::2]/main",
            SentinelUrl((("a", 26379), ("b", 1234), ("::1", 5), ("::2", 26379)), "main", "authsvc", "p@ss"),
        ),
        ("redis+sentinel://:secret@a/main", SentinelUrl((("a", 26379),), "main", None, "secret")),
        ("redis+sentinel://10.0.0.1:26380/m.y-1", SentinelUrl((("10.0.0.1", 26380),), "m.y-1", None, None)),
    ],
)
def test_an_address_is_read(text: str, expected: SentinelUrl) -> None:
    """Hosts with and without ports, IPv6 in brackets, and an escaped password."""
    assert expected == parse_sentinel_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "redis+sentinel://a",
        "redis+sentinel://a/",
        "redis+sentinel:///main",
        "redis+sentinel://a,/main",
        "redis+sentinel://a:99999/main",
        "redis+sentinel://secret@a/main",
        "redis+sentinel://a/main?db=1",
    ],
)
def test_another_form_is_refused(text: str) -> None:
    """What is not understood is refused with the form that is, and without repeating a password."""
    with pytest.raises(SetupRefused, match=r"redis\+sentinel://HOST:PORT,HOST:PORT/SERVICE") as refused:
        Connection(Secret(text))

    assert "secret" not in str(refused.value)
