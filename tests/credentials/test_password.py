"""Passwords: the rules and the hash."""

import base64
import re
import statistics
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.credentials.password import UNKNOWN_ACCOUNT, check_rules, hash_password, verify_password
from authsvc.errors import InputRefused
from authsvc.redaction import Secret
from tests.support.builders import PASSWORD

SALT = bytes(range(16))
HASH = hash_password(PASSWORD, salt=SALT)


@pytest.mark.parametrize(
    "text",
    ["x" * 15, "x" * 1024, "correct horse battery", "pässwort-schön", "\u00e9" * 8, "\u00e9" * 512, "🐎🔋📎🐎",
     "asv-is-not-a-prefix", "a{bcdefghijklmno", ":::::::::::::::", "\"'\\$`<>&;|!?*()"],
)  # fmt: skip
def test_accepted(text: str) -> None:
    """15 to 1,024 bytes of anything printable; length counts in bytes of UTF-8."""
    check_rules(Secret(text))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "a password has 15 to 1,024 bytes; this one has 0"),
        ("x" * 14, "a password has 15 to 1,024 bytes; this one has 14"),
        ("x" * 1025, "a password has 15 to 1,024 bytes; this one has 1,025"),
        ("\u00e9" * 513, "a password has 15 to 1,024 bytes; this one has 1,026"),
        ("asv_correct horse battery", "a password must not begin with 'asv_' or '{'"),
        ("{correct horse battery", "a password must not begin with 'asv_' or '{'"),
        (" correct horse battery", "nor begin or end with a blank"),
        ("correct horse battery ", "nor begin or end with a blank"),
        ("correct horse battery\n", "nor begin or end with a blank"),
        ("correct\thorse battery", "must not hold control characters"),
        ("correct\u0000horse battery", "must not hold control characters"),
        ("correct horse\u200b battery", "must not hold control characters"),
        ("\ufeff{correct horse battery", "must not hold control characters"),
        ("correct horse \ud800battery", "must not hold control characters"),
    ],
)
def test_refused(text: str, sentence: str) -> None:
    """Each bad password gives one sentence with the rule and without the password."""
    with pytest.raises(InputRefused, match=re.escape(sentence)) as refused:
        check_rules(Secret(text))

    assert "horse" not in str(refused.value)


@given(st.text(max_size=40) | st.text("asv_{ x", min_size=15, max_size=20))
def test_the_rules(text: str) -> None:
    """The rules are what the design says, for every text."""
    by_design = (
        15 <= len(text.encode("utf-8", "surrogatepass")) <= 1024
        and not text.startswith("asv_")
        and not text.startswith("{")
        and text == text.strip()
        and text.isprintable()
    )
    try:
        check_rules(Secret(text))
    except InputRefused:
        assert not by_design
    else:
        assert by_design


def parameters(phc: Secret) -> tuple[str, int, int]:
    """Return what a check against ``phc`` costs: the parameters and the sizes of salt and digest."""
    name, salt, digest = phc.reveal().rsplit("$", 2)
    return name, len(base64.b64decode(salt + "==")), len(base64.b64decode(digest + "=="))


def test_the_hash() -> None:
    """Argon2id in PHC form: 19 MiB, two passes, one lane, 16 bytes of salt and 32 of digest."""
    assert ("$argon2id$v=19$m=19456,t=2,p=1", 16, 32) == parameters(HASH)
    assert HASH == hash_password(PASSWORD, salt=SALT)
    assert HASH != hash_password(PASSWORD, salt=SALT[::-1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [(PASSWORD.reveal(), True), (PASSWORD.reveal() + "x", False), (PASSWORD.reveal()[:-1], False), ("", False),
     (PASSWORD.reveal().upper(), False), (PASSWORD.reveal() + "\0", False), ("\ud800", False)],
)  # fmt: skip
def test_checking(text: str, expected: bool) -> None:
    """A password opens its own hash and no other one does; nothing is cut off at a NUL or folded."""
    assert expected == verify_password(Secret(text), HASH)


def test_an_unknown_account_costs_the_same() -> None:
    """The hash of nobody has the parameters of everybody's, and no password."""
    assert parameters(HASH) == parameters(UNKNOWN_ACCOUNT)
    assert not verify_password(PASSWORD, UNKNOWN_ACCOUNT)
    assert not verify_password(Secret(""), UNKNOWN_ACCOUNT)


def test_an_unknown_account_takes_as_long() -> None:
    """Measured in the thread's own processor time, checking nobody takes as long as a wrong password: far within 2x."""
    wrong, spent = Secret("wrong horse battery"), {HASH: [0.0], UNKNOWN_ACCOUNT: [0.0]}
    for _ in range(9):
        for phc, times in spent.items():
            start = time.thread_time()
            verify_password(wrong, phc)
            times.append(time.thread_time() - start)
    known, unknown = (statistics.median(times[1:]) for times in spent.values())

    assert 0.5 < known / unknown < 2
