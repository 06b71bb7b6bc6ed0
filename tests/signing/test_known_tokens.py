"""Tokens that were verified before: the same answers as without the memory, at every time and below every root."""

import inspect
from collections.abc import Iterator
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from attrs import define

from authsvc.errors import TokenRefused
from authsvc.issuance import ISSUER
from authsvc.signing import known_tokens
from authsvc.signing.registry_token import verify
from tests.support.builders import NOW, SERVICE, Root
from tests.support.forgeries import forge, make_claims, signed_by

ROOT, OLD = Root.make(serial=7), Root.make(serial=8)
LEAF = ROOT.leaf(NOW - timedelta(minutes=5))
TOKEN = LEAF.sign(make_claims(NOW))


@define
class Asked:
    """One question.

    Attributes:
        token: that is shown.
        after: seconds after it was made.
        roots: that are trusted.
    """

    token: str = TOKEN
    after: float = 0
    roots: tuple[Root, ...] = (ROOT, OLD)


def answer(asked: Asked, tokens: Any = None) -> str:
    """Return whose token it is, or why it is refused; with ``tokens``, from that memory."""
    roots, now = [root.certificate for root in asked.roots], NOW + timedelta(seconds=asked.after)
    try:
        if tokens is None:
            return f"of {verify(asked.token, roots, issuer=ISSUER, service=SERVICE, now=now).subject}"
        return f"of {tokens.verify(asked.token, roots, now).subject}"
    except TokenRefused as refused:
        return f"no: {refused.detail}"


def histories() -> Iterator[list[Asked]]:
    """Return questions whose answers might be mixed up: time goes on and back, roots come and go, tokens are alike."""
    yield [Asked(after=after) for after in (0, 359, 360, 360.5, 361, 0, -120, -120.5, -121, 86400, 0)]
    yield [Asked(), Asked(roots=(OLD,)), Asked(roots=()), Asked(roots=(OLD, ROOT)), Asked(roots=(ROOT,))]
    yield [Asked(roots=(ROOT,)), Asked(roots=(OLD,)), Asked(roots=(ROOT,))]
    head, claims, mark = TOKEN.split(".")
    other = LEAF.sign(make_claims(NOW, sub="license:other"))
    yield [
        Asked(),
        Asked(other),
        Asked(".".join((head, other.split(".")[1], mark))),
        Asked(".".join((head, claims, other.split(".")[2]))),
        Asked(f"{TOKEN}x"),
        *(Asked(TOKEN[:-1] + last) for last in "AQgw"),
        Asked(),
    ]
    yield [Asked(one.token) for one in forge(ROOT, NOW) for _ in range(2)]
    brief = ROOT.leaf(NOW, timedelta(minutes=2))
    yield [Asked(signed_by(brief, make_claims(NOW)), after) for after in (0, 119, 121, 600, 0)]


def differing(module: Any = known_tokens) -> list[str]:
    """Return where the memory answers otherwise than the verification alone."""
    wrong = []
    for history in histories():
        tokens = module.KnownTokens(ISSUER, SERVICE)
        wrong += [f"{asked}" for asked in history if answer(asked, tokens) != answer(asked)]
    return wrong


def test_the_answers_are_those_of_the_verification() -> None:
    """Whatever was asked before."""
    assert [] == differing()


def test_a_token_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it has not been shown for long; then it is as good as new."""
    verified: list[str] = []

    def counted(token: str, *rest: Any, **more: Any) -> Any:
        verified.append(token)
        return verify(token, *rest, **more)

    monkeypatch.setattr(known_tokens, "verify", counted)
    monkeypatch.setattr(known_tokens, "MAX_TOKENS", 2)
    tokens = known_tokens.KnownTokens(ISSUER, SERVICE)
    first, second, third = (LEAF.sign(make_claims(NOW, sub=f"license:{number}")) for number in range(3))
    for token in (first, first, second, first, third, first, second):
        answer(Asked(token), tokens)

    assert [first, second, third, second] == verified


def without(text: str, replacement: str) -> ModuleType:
    """Return the module with one place changed."""
    source = inspect.getsource(known_tokens)
    assert source.count(text) == 1
    broken = ModuleType("broken")
    exec(compile(source.replace(text, replacement), "broken", "exec"), broken.__dict__)  # noqa: S102  our own source
    return broken


@pytest.mark.parametrize(
    ("text", "replacement"),
    [
        ("self._roots != tuple(roots)", "len(self._roots) != len(roots)"),
        ("self._verified.clear()", "pass"),
        ("found.begins <= ", ""),
        (" <= found.ends", ""),
        ('token.encode("utf-8"', 'token.rpartition(".")[0].encode("utf-8"'),
        ('token.encode("utf-8"', 'token.partition(".")[0].encode("utf-8"'),
        ('token.encode("utf-8"', 'token[:-1].encode("utf-8"'),
        ('token.encode("utf-8"', 'token.rpartition(".")[2].encode("utf-8"'),
    ],
)
def test_a_careless_memory_is_noticed(text: str, replacement: str) -> None:
    """One that forgets about roots, time or the signature."""
    assert differing(without(text, replacement))
