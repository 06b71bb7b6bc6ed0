"""Passwords: the rules and the hash."""

import base64
import re
import statistics
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.credentials.password import UNKNOWN_ACCOUNT, check_rules, hash_password, verify_password
from authsvc.credentials.password_strength import estimated_guesses
from authsvc.errors import InputRefused
from authsvc.redaction import Secret
from tests.support.builders import PASSWORD

SALT = bytes(range(16))
NAMES = ["jo.miller@acme.test", "acme", "Acme Corporation", "worker", "Worker"]
HASH = hash_password(PASSWORD, salt=SALT)


@pytest.mark.parametrize(
    "text",
    ["correct horse battery", "window banana river", "pässwort-schön", "asv-is-not-a-prefix", "\"'\\$`<>&;|!?*()",
     "kX9mP2vL5nQ8wR3", "83927461058293746", "correct horse battery" + "x" * 1003, "🐎🔋📎🐎📌🔑🧷🎈🧲",
     "1234567890 and a window"],
)  # fmt: skip
def test_accepted(text: str) -> None:
    """15 to 1,024 bytes of anything printable that is not easy to guess; length counts in bytes of UTF-8."""
    check_rules(Secret(text), NAMES)


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
        check_rules(Secret(text), NAMES)

    assert "horse" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["passwordpassword", "123456789012345", "aaaaaaaaaaaaaaa", "qwertyuiopasdfg", "P4$$w0rdP4$$w0rd", "\u00e9" * 8,
     "12345678901234567890", "abcdefghijklmnopqrstuvwxyz", "1qaz2wsx3edc4rfv", "letmeinletmeinletmein",
     "jo.miller@acme.test", "jomilleracmetest", "Acme Corporation", "acmecorporation", "acmeacmeacmeacme",
     "a" * 72 + "correct horse battery staple", "x" * 1024],
)  # fmt: skip
def test_easy_to_guess(text: str) -> None:
    """Words of every list, repetitions, rows and what everybody knows of the person; the answer says what to do."""
    with pytest.raises(
        InputRefused, match="too easy to guess; use three or more words that do not belong together"
    ) as no:
        check_rules(Secret(text), NAMES)

    assert text not in str(no.value)


def test_names_make_a_password_easy() -> None:
    """The same password is good for somebody else."""
    check_rules(Secret("zephyrlanternworks"), NAMES)
    with pytest.raises(InputRefused, match="too easy"):
        check_rules(Secret("zephyrlanternworks"), ["Zephyr Lantern Works"])


@given(st.text(max_size=40) | st.text("asv_{ x", min_size=15, max_size=20))
def test_the_rules(text: str) -> None:
    """The rules are what the design says, for every text."""
    by_design = (
        15 <= len(text.encode("utf-8", "surrogatepass")) <= 1024
        and not text.startswith("asv_")
        and not text.startswith("{")
        and text == text.strip()
        and text.isprintable()
        and estimated_guesses(text, NAMES) >= 1e8
    )
    try:
        check_rules(Secret(text), NAMES)
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
