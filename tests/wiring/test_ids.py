"""Ids of requests and tokens: each made of bytes that no other one has."""

import itertools

from authsvc.wiring.ids import BLOCK, Ids


def test_no_byte_is_used_twice() -> None:
    """Over many blocks, ids of both lengths follow each other in what the system gives, without an overlap."""
    given: list[bytes] = []
    numbers = itertools.count()

    def random_bytes(count: int) -> bytes:
        given.append(b"".join(next(numbers).to_bytes(4, "big") for _ in range(count // 4)))
        return given[-1]

    ids = Ids(random_bytes, lambda: 0x6B0B2A97)
    tokens = [ids.token_id() for _ in range(BLOCK // 4)]
    requests = [ids.request_id() for _ in range(BLOCK)]

    assert b"".join(given).hex() == "".join([*tokens, *(request[8:] for request in requests)])
    assert {32} == set(map(len, tokens))
    assert {"6b0b2a97"} == {request[:8] for request in requests}


def test_a_rest_that_is_too_short_is_left() -> None:
    """An id is never shorter, and none begins at the end of one block and ends in another."""
    blocks = iter([b"\x01" * BLOCK, b"\x02" * BLOCK])
    ids = Ids(lambda _: next(blocks), lambda: 0.0)
    for _ in range((BLOCK - 12) // 4):
        ids.request_id()

    assert "02" * 16 == ids.token_id()
