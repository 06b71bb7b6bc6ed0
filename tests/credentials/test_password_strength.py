"""The estimate of guesses: what it looks at, and that its own work is bounded."""

import itertools
import subprocess
import sys
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zxcvbn import matching  # type: ignore[import-untyped]

from authsvc.credentials.password_strength import (
    MAX_CHARACTERS,
    MAX_SPELLINGS,
    _pieces,
    _spellings,
    _words,
    estimated_guesses,
)

SYMBOLS = "4@8({[<369!1|70$5+%2"
"""Every character that zxcvbn can read as a letter."""


def test_a_name_is_known_in_every_form() -> None:
    """As a whole, in its words, and without what is between them."""
    assert _words("Jo.Miller@Acme-Corp.test") == [
        "jo.miller@acme-corp.test",
        "miller",
        "acme",
        "corp",
        "test",
        "jomilleracmecorptest",
    ]


def test_one_persons_names_are_not_anothers() -> None:
    """What was known of the last person does not count for the next."""
    before = estimated_guesses("zephyrlantern", [])

    assert estimated_guesses("zephyrlantern", ["Zephyrlantern"]) < 100
    assert estimated_guesses("zephyrlantern", []) == before


def test_only_the_beginning_counts() -> None:
    """After 72 characters nothing makes it better, or costs time."""
    easy = "a" * MAX_CHARACTERS

    assert estimated_guesses(easy, []) == estimated_guesses(easy + "correct horse battery" * 40, [])


@pytest.mark.parametrize(
    "text", ["password12345", "1234567890", "P4$$w0rd!", "correct horse battery staple", "kX9#mP2$vL5@nQ8"]
)
def test_ordinary_passwords_are_estimated_as_a_whole(text: str) -> None:
    """The limit on spellings cuts no password that people think of."""
    assert _pieces(text) == [text]


@given(st.text(SYMBOLS + "abc", max_size=MAX_CHARACTERS))
def test_pieces_are_bounded_and_lose_nothing(text: str) -> None:
    """Together they are the text; each can be read in few ways."""
    pieces = _pieces(text)

    assert "".join(pieces) == text
    assert all(_spellings(piece) <= MAX_SPELLINGS for piece in pieces)
    assert all(_spellings(one + two[0]) > MAX_SPELLINGS for one, two in itertools.pairwise(pieces))


@pytest.mark.parametrize("seed", range(3))
def test_the_work_is_bounded(seed: int) -> None:
    """Counted in searches of the dictionaries, which are what takes the time: without the limit there are hundreds."""
    searches = 0
    text = "".join(Random(seed).choices(SYMBOLS, k=MAX_CHARACTERS))
    for piece in _pieces(text):
        table = matching.relevant_l33t_subtable(piece, matching.L33T_TABLE)
        searches += len(piece) ** 2 * len(list(matching.enumerate_l33t_subs(table)))

    assert searches <= 2 * MAX_SPELLINGS * MAX_CHARACTERS**2
    assert len(list(matching.enumerate_l33t_subs(matching.L33T_TABLE))) > 20 * MAX_SPELLINGS
    assert estimated_guesses(text, []) > 1e8


def test_it_is_loaded_only_where_a_password_is_set() -> None:
    """Neither the command line nor a worker loads zxcvbn's dictionaries when it starts."""
    modules = "authsvc.cli.main, authsvc.wiring.server, authsvc.wiring.management"
    code = f"import sys, {modules}; print('zxcvbn' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout == "False\n"
