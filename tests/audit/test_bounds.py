"""What a client may make us do and write, whatever it asks for in its 8 KiB; and the mutants that break it.

Costs are counted in characters and objects, never in seconds.
"""

import io
import itertools
import json
import string
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import evolve

from authsvc.audit import aggregator, token_event
from authsvc.audit.aggregator import Aggregator
from authsvc.audit.entry import ENCODER, MAX_ENTRY
from authsvc.audit.token_event import TokenEvent, token_event_of
from authsvc.issuance import Issued
from authsvc.log_line import MAX_LINE
from authsvc.logs import make_logger
from authsvc.refusal_sentences import refusal_sentence
from authsvc.spec import scope
from tests.support.builders import as_license, make_license
from tests.support.decisions import asked, issued

PULL = "repository:acme/x:pull"


def words() -> Iterator[str]:
    """Yield different words of lower-case letters, short ones first."""
    for length in itertools.count(1):
        yield from map("".join, itertools.product(string.ascii_lowercase, repeat=length))


def cut(text: Iterator[str], length: int, joint: str) -> str:
    """Return words joined up to a length."""
    found = next(text)
    for word in text:
        if len(found) + len(word) >= length:
            break
        found += joint + word
    return found


Bomb = Callable[[int], str]

BOMBS: dict[str, Bomb] = {
    "actions": lambda size: "repository:other/x:" + cut(words(), size, ","),
    "resources": lambda size: cut((f"repository:o/{word}:a,b,c,d,push,pull,delete,*" for word in words()), size, " "),
    "long names": lambda size: cut(
        (f"repository:{'x' * 170}{word}:a,b,c,d,push,pull,delete,*" for word in words()), size, " "
    ),
    "names that JSON makes longer": lambda size: cut(
        (f"repository:{chr(92) * 170}{word}:a,b,c,d,push,delete" for word in words()), size, " "
    ),
    "one resource": lambda size: cut((f"repository:other/x:{word}" for word in words()), size, " "),
    "types": lambda size: cut((f"{word * 5}({word * 5}):{word}:{word * 7}" for word in words()), size, " "),
}


def answered(bomb: str) -> tuple[Issued, TokenEvent]:
    """Return the token for a pull beside a bomb, and what the audit says of it."""
    request = asked(PULL, bomb)
    token = issued(request, as_license(make_license()))
    return token, token_event_of(request, token)


def work(token: Issued, told: TokenEvent) -> int:
    """Return how many characters and objects a request leads to before anything is cut."""
    facts: Any = told.to_json()
    refusals = [f"{refusal.scope} {refusal.action}: {refusal_sentence(refusal)}" for refusal in token.decision.refusals]
    return len(json.dumps(facts)) + sum(map(len, refusals))


def check_linear(bomb: Bomb) -> None:
    """Insist that twice the request is about twice the work at most, and that the work is a small multiple of it."""
    half, whole = (work(*answered(bomb(size))) for size in (4000, 8000))
    assert whole <= 3 * half
    assert whole < 150_000


def check_entry(bomb: Bomb) -> None:
    """Insist on an entry within its bounds, with the grant in it."""
    aggregator = Aggregator()
    _, told = answered(bomb(8000))
    for _ in range(2000):
        aggregator.add(told)
    (entry,) = aggregator.take(told.at.timestamp())
    assert len(entry.text.encode()) + len(entry.ids) <= MAX_ENTRY
    facts = json.loads(entry.text)
    assert ([PULL], 2000) == (facts["granted"], facts["count"])


def check_every_grant(subjects: int) -> None:
    """Insist that every token of more subjects than fit is in an entry."""
    aggregator = Aggregator(10)
    request = asked()
    for number in range(subjects):
        token = issued(request, as_license(make_license(f"c{number:015d}")))
        aggregator.add(token_event_of(request, token))
    assert subjects == sum(one.count for one in aggregator.take(request.at.timestamp(), everything=True))


@pytest.mark.parametrize("name", BOMBS)
def test_the_work_is_linear(name: str) -> None:
    """Twice the scope is at most about twice the work."""
    check_linear(BOMBS[name])


@pytest.mark.parametrize("name", BOMBS)
def test_a_pull_beside_a_bomb_is_granted_and_told(name: str) -> None:
    """The token has the pull, the entry names it and has at most 8 KiB, and so has the line of the log."""
    token, _ = answered(BOMBS[name](8000))
    log = io.StringIO()
    refused = [f"{refusal.scope} {refusal.action}: {refusal_sentence(refusal)}" for refusal in token.decision.refusals]
    make_logger("info", log).info("token.issued", granted=[PULL], refused=refused)

    assert ["acme/x"] == [access.name for access in token.claims.access]
    check_entry(BOMBS[name])
    assert len(log.getvalue()) <= MAX_LINE
    assert [PULL] == json.loads(log.getvalue())["granted"]


def test_every_grant_is_told() -> None:
    """More subjects than there is room for are told together, and none is forgotten."""
    check_every_grant(500)


def test_quadratic_work_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeping every action that a client makes up repeats the whole scope for each."""
    monkeypatch.setattr(scope, "MAX_UNKNOWN_ACTIONS", 10**6)
    with pytest.raises(AssertionError):
        check_linear(BOMBS["actions"])


def test_an_unbounded_entry_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing all facts down, as before, is longer than an entry may be."""
    monkeypatch.setattr(token_event.TokenEvent, "text", lambda self: ENCODER.encode(self.to_json()))
    with pytest.raises(AssertionError):
        check_entry(BOMBS["resources"])


def test_a_grant_that_is_cut_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that drops its longest lists alike may drop what was granted."""

    def without(self: TokenEvent) -> str:
        facts: dict[str, Any] = json.loads(text(self))
        return ENCODER.encode({**facts, "granted": facts["granted"][1:]})

    text = token_event.TokenEvent.text
    monkeypatch.setattr(token_event.TokenEvent, "text", without)
    with pytest.raises(AssertionError):
        check_entry(BOMBS["actions"])


def test_a_forgotten_grant_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Giving up what does not fit, without a count, is not enough."""
    add = Aggregator.add

    def drops(self: Aggregator, told: TokenEvent) -> None:
        if self.waiting < self.max_groups:
            add(self, told)

    monkeypatch.setattr(aggregator.Aggregator, "add", drops)
    with pytest.raises(AssertionError):
        check_every_grant(500)


def test_equal_requests_are_repeats_whatever_was_left_out() -> None:
    """Two requests with the same bomb are one entry, so that repeating it is cheap."""
    _, told = answered(BOMBS["actions"](8000))
    aggregator = Aggregator()
    aggregator.add(told)
    aggregator.add(evolve(told, request_id="0" * 16))

    assert 1 == len(aggregator.take(told.at.timestamp()))
