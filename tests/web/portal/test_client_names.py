"""Short names of browsers and tools."""

import pytest

from authsvc.web.portal.client_names import MAX_NAME, client_name

_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", "Firefox 143 on Linux"),
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/141.0.0.0 Safari/537.36",
            "Chrome 141 on Windows",
        ),
        (f"Mozilla/5.0 (Windows NT 10.0) {_WEBKIT} Chrome/141.0.0.0 Safari/537.36 Edg/141.0.1", "Edge 141 on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/26.0 Safari/605.1.15", "Safari 26 on macOS"),
        (f"Mozilla/5.0 (Linux; Android 16) {_WEBKIT} Chrome/141.0.0.0 Mobile Safari/537.36", "Chrome 141 on Android"),
        (
            "docker/27.1.1 go/go1.21.12 git-commit/cc13f95 kernel/6.8 os/linux arch/amd64 UpstreamClient()",
            "docker/27.1.1",
        ),
        ("Mozilla/5.0", "a browser"),
        ("", "unknown"),
        ("x" * 1000, "x" * MAX_NAME),
        (f"Mozilla/5.0 Firefox/{'9' * 1000}", "Firefox 99999"),
    ],
)
def test_a_name(user_agent: str, name: str) -> None:
    """It says what and where, in a few words; what is made up stays short."""
    assert client_name(user_agent) == name
