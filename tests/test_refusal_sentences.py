"""Every reason of the policy has its sentence."""

from string import Formatter

import pytest

from authsvc.decision import Denial, DenialReason, Reason, RefusalReason
from authsvc.refusal_sentences import denial_sentence, reason_sentence
from tests.support.builders import NOW

FACTS = ("other", NOW, ("one", "two"))


@pytest.mark.parametrize("reason", RefusalReason)
@pytest.mark.parametrize("fact", FACTS, ids=["text", "instant", "list"])
def test_every_refusal_has_a_sentence(reason: RefusalReason, fact: object) -> None:
    """No reason is without one, and none shows a placeholder or a Python value."""
    sentence = reason_sentence(Reason(reason, fact), "push")  # type: ignore[arg-type]

    assert sentence
    assert not any(name for _, name, _, _ in Formatter().parse(sentence))
    assert "datetime" not in sentence


@pytest.mark.parametrize("reason", DenialReason)
def test_every_denial_says_since_when_and_whom_to_ask(reason: DenialReason) -> None:
    """Each names the thing and the day, and ends with whom to ask; a brace in a customer's name is a character."""
    denial = Denial(reason, NOW.replace(hour=0), "it", "{holder}", "sales@acme.test")
    sentence = denial_sentence(denial)

    assert " it " in f"{sentence} "
    assert "2026-08-01" in sentence
    assert sentence.endswith(("contact sales@acme.test", "an owner of sales@acme.test"))
    assert "{" not in sentence.replace("{holder}", "")


def test_nobody_to_contact() -> None:
    """A license without a contact leads to the vendor."""
    assert denial_sentence(Denial(DenialReason.LICENSE_EXPIRED, NOW, "c1", "Globex")).endswith("; ask the vendor")


def test_a_member_without_apps() -> None:
    """An empty limit is said."""
    assert reason_sentence(Reason(RefusalReason.MEMBER_LIMITED, ()), "pull") == "the member is limited to no app"
