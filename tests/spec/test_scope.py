"""Scopes: the specifications' examples, and what must hold for every text."""

import re
from itertools import chain
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from authsvc.spec import scope as scope_module
from authsvc.spec.scope import (
    KNOWN_ACTIONS,
    MAX_MENTIONS,
    MAX_NAMES,
    MAX_REMEMBERED_TEXT,
    MAX_SCOPE_TEXT,
    MAX_SCOPES,
    MAX_UNKNOWN_ACTIONS,
    ResourceScope,
    ScopeSet,
    merge_scopes,
)
from tests.support.vectors import cases, name_of

KINDS = st.sampled_from(["repository", "registry"]) | st.text("abz09", min_size=1, max_size=10)
NAMES = st.one_of(
    st.sampled_from(["acme/worker", "acme/api/v2", "host:5000/x", "catalog"]),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60),
)
ACTIONS = st.sampled_from(["pull", "push", "delete", "*"]) | st.text("amz", min_size=1, max_size=8)


@st.composite
def resource_scopes(draw: st.DrawFn) -> ResourceScope:
    """Draw a scope as our own value: actions sorted, each once."""
    actions = tuple(sorted(draw(st.sets(ACTIONS, min_size=1, max_size=4))))
    return ResourceScope(draw(KINDS), draw(NAMES), actions, draw(st.none() | KINDS))


def as_set(merged: ScopeSet) -> set[ResourceScope]:
    """Forget the order of a request's scopes."""
    return set(merged.scopes)


@pytest.mark.parametrize("case", cases("scopes.toml", "scope"), ids=name_of)
def test_examples(case: dict[str, Any]) -> None:
    """The examples of the specification and of every client mean what the vectors say."""
    merged = merge_scopes(case["parameters"])

    assert case["means"] == [str(scope) for scope in merged.scopes]
    assert case.get("dropped", 0) == merged.dropped


def test_the_parts_of_a_scope() -> None:
    """Type, class, name and actions come apart at the first and the last colon."""
    expected = ResourceScope("repository", "host:5000/a/b", ("pull", "push"), "plugin")

    assert expected == ResourceScope.parse("repository(plugin):host:5000/a/b:push,pull")


@given(resource_scopes())
def test_a_scope_survives_its_text(scope: ResourceScope) -> None:
    """What is written is read back the same."""
    assert scope == ResourceScope.parse(str(scope))


@given(resource_scopes())
def test_canonical_text_survives(scope: ResourceScope) -> None:
    """A text in canonical form is written back letter by letter."""
    text = str(scope)

    assert text == str(ResourceScope.parse(text))


@given(st.text(st.sampled_from("aé:(),*/ \n\tP1"), max_size=30) | st.text(max_size=60))
def test_whatever_parses_is_of_the_grammar(text: str) -> None:
    """A text outside the grammar is refused or loses actions; what is accepted means the same when written again."""
    try:
        scope = ResourceScope.parse(text)
    except ValueError:
        return

    assert re.fullmatch(r"[a-z0-9]+(\([a-z0-9]+\))?:[!-~]+:.*", text, re.ASCII | re.DOTALL)
    assert re.fullmatch(r"[a-z0-9]+(\([a-z0-9]+\))?:[!-~]+:([a-z]+|\*)(,([a-z]+|\*))*", str(scope), re.ASCII)
    assert set(scope.actions) <= set(text.rpartition(":")[2].split(","))
    assert scope == ResourceScope.parse(str(scope))


@given(st.lists(resource_scopes(), max_size=MAX_SCOPES))
@example([ResourceScope("a", "b", ("am",)), ResourceScope("a", "b", ("a", "aa", "aaa", "m"))])
def test_merging_is_idempotent(scopes: list[ResourceScope]) -> None:
    """What was merged merges to itself, and nothing more is dropped from it."""
    once = merge_scopes([str(scope) for scope in scopes])
    again = merge_scopes([str(scope) for scope in once.scopes])

    assert (once.scopes, 0) == (again.scopes, again.dropped)


@given(st.lists(resource_scopes(), max_size=MAX_SCOPES), st.randoms(use_true_random=False), st.booleans())
def test_merging_ignores_the_order_and_the_form(scopes: list[ResourceScope], random: Any, joined: bool) -> None:
    """Repeated, joined or shuffled: the same set is asked for, unless some of it is beyond the bounds."""
    texts = [str(scope) for scope in scopes]
    shuffled = random.sample(texts, len(texts))
    once, again = merge_scopes(texts), merge_scopes([" ".join(shuffled)] if joined else shuffled)
    assume(not once.dropped and not again.dropped)

    assert as_set(once) == as_set(again)


@given(st.lists(resource_scopes(), max_size=MAX_SCOPES))
def test_merging_keeps_every_action_and_adds_none(scopes: list[ResourceScope]) -> None:
    """Each resource gets the union of what was asked on it, of unknown actions the first four, and nothing else."""
    asked = {((scope.type, scope.resource_class, scope.name), a) for scope in scopes for a in scope.actions}
    merged = merge_scopes([str(scope) for scope in scopes])
    kept = {((scope.type, scope.resource_class, scope.name), a) for scope in merged.scopes for a in scope.actions}

    assert kept <= asked
    assert {(key, a) for key, a in asked if a in KNOWN_ACTIONS} <= kept
    for key in {key for key, _ in asked}:
        unknown = [{a for k, a in some if k == key and a not in KNOWN_ACTIONS} for some in (asked, kept)]
        assert min(MAX_UNKNOWN_ACTIONS, len(unknown[0])) == len(unknown[1])
    assert (merged.dropped == 0) == (kept == asked)


@given(st.lists(st.one_of(resource_scopes().map(str), st.text(max_size=80)), max_size=40))
def test_merging_is_bounded(parameters: list[str]) -> None:
    """Whatever is asked: at most 16 resources, no two the same, in the order of first mention."""
    merged = merge_scopes(parameters)
    keys = [(scope.type, scope.resource_class, scope.name) for scope in merged.scopes]
    pieces = [piece for piece in " ".join(parameters).split(" ") if piece]
    order = [pieces.index(next(p for p in pieces if _is_on(p, key))) for key in keys]

    assert len(keys) <= MAX_SCOPES
    assert len(keys) == len(set(keys))
    assert order == sorted(order)


def _is_on(piece: str, key: tuple[str, str | None, str]) -> bool:
    try:
        scope = ResourceScope.parse(piece)
    except ValueError:
        return False
    return key == (scope.type, scope.resource_class, scope.name)


def test_one_too_many_is_dropped() -> None:
    """The seventeenth resource is dropped; another action on a kept one is not."""
    texts = [f"repository:a/{number}:pull" for number in range(MAX_SCOPES + 1)]
    merged = merge_scopes([*texts, "repository:a/0:push"])

    assert "repository:a/0:pull,push" == str(merged.scopes[0])
    assert (MAX_SCOPES, 1) == (len(merged.scopes), merged.dropped)


def test_many_long_names_are_dropped() -> None:
    """Names are kept while they fit together; an action on a kept one is never dropped."""
    names = [f"a/{number:02}{'x' * 246}" for number in range(13)]
    merged = merge_scopes([*(f"repository:{name}:pull" for name in names), f"repository:{names[0]}:push"])

    assert names[:12] == [scope.name for scope in merged.scopes]
    assert (MAX_NAMES, 1) == (sum(len(scope.name) for scope in merged.scopes), merged.dropped)
    assert merged.scopes[0].actions == ("pull", "push")


def test_names_have_at_most_255_characters() -> None:
    """255 characters are a name, 256 are not."""
    fits, too_long = (f"repository:{'a' * length}:pull" for length in (255, 256))

    assert ScopeSet((ResourceScope("repository", "a" * 255, ("pull",)),), 1) == merge_scopes([fits, too_long])


@pytest.mark.parametrize(
    "bomb",
    [
        " ".join(f"repository:a/{number}:pull" for number in range(10_000)),
        "repository:a/b:" + ",".join(["pull"] * 200_000),
        "repository:a/b:" + "," * 1_000_000,
        "a:" * 500_000,
        "(" * 1_000_000,
        "repository:" + "a/" * 500_000 + ":pull",
        " " * 1_000_000,
    ],
    ids=["scopes", "actions", "commas", "colons", "parentheses", "components", "spaces"],
)
def test_bombs_are_cut(bomb: str) -> None:
    """A megabyte of scope costs no more than its first 8 KiB: the result is what the head alone means."""
    merged = merge_scopes([bomb])
    head = merge_scopes([bomb[:MAX_SCOPE_TEXT].rpartition(" ")[0]])

    assert head.scopes == merged.scopes
    assert len(merged.scopes) <= MAX_SCOPES


@pytest.mark.parametrize("piece", ["a:b:{}", "a:b:c", "a"], ids=["one resource", "repeated", "malformed"])
@pytest.mark.parametrize("joint", [" ", None], ids=["joined", "parameters"])
def test_few_scopes_are_read_however_short_they_are(
    piece: str, joint: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 KiB of the shortest scopes are not read one by one: what is left out is counted, and costs nothing."""
    read: list[str] = []
    resource = scope_module._resource

    def counted(text: str) -> tuple[tuple[str, str | None, str], str]:
        read.append(text)
        return resource(text)

    monkeypatch.setattr(scope_module, "_resource", counted)
    pieces = [piece.format(chr(97 + number % 26)) for number in range(1_300)]
    merged = merge_scopes(["repository:a/b:pull", *([joint.join(pieces)] if joint else pieces)])

    assert len(read) == MAX_MENTIONS
    assert str(merged.scopes[0]) == "repository:a/b:pull"
    assert merged.dropped >= len(pieces) + 1 - MAX_MENTIONS


@pytest.mark.parametrize("spare", [0, -1], ids=["exactly", "one character too many"])
def test_the_length_of_all_parameters_counts(spare: int) -> None:
    """Several parameters get no more text than one: the last is read as long as all together fit."""
    pull = "repository:a/b:pull"
    filler = "repository:other/x:"
    half = (MAX_SCOPE_TEXT - len(pull)) // 2
    lengths = (half, MAX_SCOPE_TEXT - len(pull) - half - spare)
    merged = merge_scopes([*(filler.ljust(length, "a") for length in lengths), pull])

    assert [str(scope) for scope in merged.scopes] == ([pull] if spare == 0 else [])
    assert merged.dropped == 2 + (spare != 0)


@pytest.mark.parametrize(("length", "remembered"), [(MAX_REMEMBERED_TEXT - 1, 1), (MAX_REMEMBERED_TEXT, 0)])
def test_only_short_texts_are_remembered(length: int, remembered: int) -> None:
    """What many long requests ask for does not fill the memory; a parameter counts one character more than it has."""
    before = scope_module._remembered.cache_info().misses
    merge_scopes(["repository:short/or/long:".ljust(length, "a")])

    assert before + remembered == scope_module._remembered.cache_info().misses


def test_a_pull_beside_a_bomb_is_asked_for() -> None:
    """However long a scope is, those in front of it and behind it in parameters of their own count."""
    bombs = ["repository:other/x:" + ",".join(f"a{n}" for n in range(count)) for count in (2_000, 200_000)]
    for bomb in bombs:
        for parameters in (["repository:a/b:pull", bomb], [bomb, "repository:a/b:pull"]):
            asked = {(scope.name, action) for scope in merge_scopes(parameters).scopes for action in scope.actions}
            assert ("a/b", "pull") in asked


def test_a_known_action_behind_thousands_counts() -> None:
    """No made-up action takes the place of one that the registry asks for."""
    made_up = ",".join("abcdefghijklmnopqrstuvwxyz"[n // 26] * (n % 26 + 1) for n in range(400))
    (scope,) = merge_scopes([f"repository:a/b:{made_up},pull,push,delete,*"]).scopes

    assert scope.actions[0] == "*"
    assert len(scope.actions) == len(KNOWN_ACTIONS) + MAX_UNKNOWN_ACTIONS
    assert set(scope.actions) >= KNOWN_ACTIONS


def test_a_cut_scope_is_dropped_not_shortened() -> None:
    """The scope that the limit runs through counts for nothing: a shortened name would be another repository."""
    filler = ["x" * 1023] * 7
    last = "repository:acme/" + "a" * 2000 + ":pull"
    merged = merge_scopes([*filler, last])

    assert not list(chain.from_iterable(scope.actions for scope in merged.scopes))
    assert merged.dropped == len(filler) + 1
