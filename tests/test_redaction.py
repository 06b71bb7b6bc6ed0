"""A text that never prints itself."""

import copy
import json
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.redaction import Secret

TEXT = "hunter2-hunter2-hunter2"


@pytest.mark.parametrize(
    "shown",
    [str, repr, "{}".format, "{!r}".format, "%s".__mod__, lambda s: repr([s]), lambda s: repr({"k": s}), ascii],
    ids=["str", "repr", "format", "format-r", "percent", "list", "dict", "ascii"],
)
def test_it_does_not_show(shown: object) -> None:
    """No way of making text out of a secret shows it."""
    assert callable(shown)

    assert TEXT not in shown(Secret(TEXT))


def test_revealing_is_the_one_way() -> None:
    """The value comes out by name."""
    assert TEXT == Secret(TEXT).reveal()


def test_no_json() -> None:
    """A secret that slips into a document stops it."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps({"password": Secret(TEXT)})


def test_no_traceback() -> None:
    """An error about a secret does not print it."""
    assert TEXT not in "".join(traceback.format_exception(ValueError(Secret(TEXT))))


@given(st.text(), st.text())
def test_equality_is_that_of_the_texts(left: str, right: str) -> None:
    """Two secrets are equal iff their texts are, whatever characters they hold."""
    assert (left == right) == (Secret(left) == Secret(right))
    assert Secret(left) == copy.copy(Secret(left))
    assert hash(Secret(left)) == hash(Secret(left))


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_half_a_character(text: str) -> None:
    """A lone surrogate, which JSON may carry, is compared like anything else."""
    assert Secret(text) == Secret(text)
    assert Secret(text) != Secret("x")


def test_a_secret_is_no_text() -> None:
    """A secret equals no plain text, so that no comparison forgets what it handles."""
    assert Secret(TEXT) != TEXT


def test_an_empty_secret_is_false() -> None:
    """Emptiness shows, the value does not."""
    assert [False, True] == [bool(Secret("")), bool(Secret("0"))]
