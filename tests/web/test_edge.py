"""What is no token request at all: other addresses, other methods, too much of something, or not even HTTP."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.http_client import ask, say
from tests.support.stack import Stack


def edge_port(stack: Stack) -> int:
    """Return the port of authsvc without nginx."""
    return int((stack.data_dir / "run" / "edge-address").read_text().rpartition(":")[2])


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("PUT", "/auth/token", 405),
        ("DELETE", "/auth/token", 405),
        ("PATCH", "/auth/token", 405),
        ("OPTIONS", "/auth/token", 405),
        ("GET", "/auth/", 404),
        ("GET", "/auth", 404),
        ("GET", "/auth/token/", 404),
        ("GET", "/auth/nowhere", 404),
        ("GET", "/metrics", 404),
        ("GET", "/events/registry", 404),
        ("GET", "/auth/../readyz", 404),
        ("GET", "/auth/%2e%2e/readyz", 404),
        ("GET", "/livez/../metrics", 404),
    ],
)
def test_an_address_that_is_not_served(stack: Stack, method: str, target: str, status: int) -> None:
    """Told in the registry's own form, and never as an HTML page; the inside listener is not reachable here."""
    reply = ask(stack.port, method, target)
    code, message = reply.error()
    assert reply.status == status
    assert code in {"NOT_FOUND", "UNSUPPORTED"}
    assert message


def test_head_is_harmless(stack: Stack) -> None:
    """HEAD issues nothing."""
    reply = ask(stack.port, "HEAD", "/auth/token")
    assert (reply.status, reply.body) == (405, b"")


LONG = "x" * 17_000


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"target": f"/auth/token?service={LONG}"}, 414),
        ({"headers": {"Authorization": f"Basic {LONG}"}}, 431),
        ({"headers": {"X-Long": LONG}}, 431),
        ({"headers": {f"X-{number}": "x" * 8000 for number in range(10)}}, 431),
        ({"method": "POST", "body": b"x" * 70_000}, 413),
    ],
    ids=["address", "password", "header", "headers", "form"],
)
def test_too_much(stack: Stack, given: Mapping[str, Any], status: int) -> None:
    """Sizes have limits, and going over one is said in a sentence."""
    reply = ask(stack.port, **{"method": "GET", "target": "/auth/token", **given})
    code, message = reply.error()
    assert (reply.status, code) == (status, "UNSUPPORTED")
    assert message


@pytest.mark.parametrize("port_of", [lambda stack: stack.port, edge_port], ids=["nginx", "authsvc"])
def test_a_form_in_chunks_has_the_same_limit(stack: Stack, port_of: Any) -> None:
    """A length that is not told beforehand is counted."""
    reply = ask(port_of(stack), "POST", "/auth/token", body=iter([b"x" * 40_000] * 2))
    code, message = reply.error()
    assert (reply.status, code) in {(413, "UNSUPPORTED"), (401, "UNAUTHORIZED")}
    assert message


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n\r\n\r\nnonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /auth/token\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /auth/token HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /auth/token HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET /auth/token HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /auth/token HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YTpi\r\n folded\r\n\r\n",
        b"GET /auth/token HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n",
        b"GET /auth/token\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nabcde",
        b"POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /auth/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST /auth/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
@pytest.mark.parametrize("port_of", [lambda stack: stack.port, edge_port], ids=["nginx", "authsvc"])
def test_what_is_not_http(stack: Stack, raw: bytes, port_of: Any) -> None:
    """Neither listener falls over, hands out a token, or calls it a fault of its own."""
    port = port_of(stack)
    answer = say(port, raw.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n", 1))
    for wrong in (b" 200 ", b" 500 ", b" 502 ", b'"token"'):
        assert wrong not in answer
    assert ask(port, "GET", "/livez").status == 200
