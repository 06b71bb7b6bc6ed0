"""JSON of a bounded length: whatever is to be said, it fits, it is JSON, and it says what is missing."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from authsvc.bounded_json import MARK, bounded_json

LIMIT = 1024
ENCODER = json.JSONEncoder(default=str)

TEXTS = st.text(max_size=20) | st.integers(0, 3000).flatmap(
    lambda n: st.sampled_from(["a", '"', "\N{SNOWMAN}", "\U0001f4a9", "\udc80"]).map(lambda one: one * n)
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.sampled_from("abcd"), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["at", "asked", "granted", "refused", "reason"]), VALUES))
def test_whatever_it_is_fits(facts: dict[str, Any]) -> None:
    """Every value stays below the limit, stays JSON and keeps its names."""
    text = bounded_json(ENCODER, facts, LIMIT)

    assert len(text.encode("ascii")) <= LIMIT
    assert facts.keys() <= json.loads(text).keys()


@given(st.dictionaries(st.sampled_from("abc"), VALUES))
def test_what_fits_is_left_alone(facts: dict[str, Any]) -> None:
    """Nothing is cut, marked or moved when there is room."""
    assert ENCODER.encode(facts) == bounded_json(ENCODER, facts, 10**6)


def test_the_longest_is_cut_and_counted() -> None:
    """Of a long list its beginning stays, the rest is a number, and short neighbours stay whole."""
    facts = {"event": "token.issued", "refused": [f"scope {n}" for n in range(10_000)], "reason": "because"}
    read = json.loads(bounded_json(ENCODER, facts, LIMIT))

    assert ("token.issued", "because") == (read["event"], read["reason"])
    assert [f"scope {n}" for n in range(len(read["refused"]))] == read["refused"]
    assert {"refused": 10_000 - len(read["refused"])} == read["cut"]
    assert len(read["refused"]) > 50


def test_a_text_keeps_both_ends() -> None:
    """A trace keeps its last line, which says what happened."""
    facts = {"exception": f"Traceback{'x' * 5000}ValueError: no"}
    read = json.loads(bounded_json(ENCODER, facts, LIMIT))
    head, _, tail = read["exception"].partition(MARK)

    assert head.startswith("Traceback")
    assert tail.endswith("ValueError: no")
    assert len(facts["exception"]) - len(head) - len(tail) == read["cut"]["exception"]


def test_what_must_stay_whole_does() -> None:
    """A grant is never cut, however much else there is to say."""
    facts = {"granted": ["y" * 100] * 5, "asked": ["x" * 100] * 1000, "refused": ["z" * 100] * 1000}
    read = json.loads(bounded_json(ENCODER, facts, LIMIT, ("granted",)))

    assert facts["granted"] == read["granted"]
    assert {"asked", "refused"} == read["cut"].keys()


class Counting(json.JSONEncoder):
    """Counts the bytes that it made."""

    made = 0

    def encode(self, o: object) -> str:
        """Return JSON."""
        text = super().encode(o)
        self.made += len(text)
        return text


def test_the_work_is_linear() -> None:
    """Twice the input is at most about twice the work, for long lists, long texts and nested values."""
    for make in (
        lambda n: {"refused": [{"scope": "s", "action": "a"}] * n},
        lambda n: {"reason": "\N{SNOWMAN}" * n},
        lambda n: {"credential": {"grants": ["g"] * n, "name": "n" * n}},
    ):
        made = []
        for size in (5_000, 10_000):
            encoder = Counting()
            bounded_json(encoder, make(size), LIMIT)
            made.append(encoder.made)
        assert made[1] < 2.5 * made[0]
