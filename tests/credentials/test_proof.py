"""Telling apart what is presented: people, machines, license files, junk."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.credentials.machine_secret import MachineSecret
from authsvc.credentials.password import check_rules
from authsvc.credentials.proof import (
    MAX_JOINED,
    Junk,
    LicensesProof,
    MachineProof,
    Nothing,
    PasswordProof,
    Proof,
    classify,
)
from authsvc.errors import InputRefused
from authsvc.redaction import Secret
from authsvc.spec.token_request import RefreshGrant, Unreadable, UserPassword
from tests.support.builders import license_token, machine_secret

SECRET = license_token()
TOKEN = SECRET.text.reveal()
MACHINE = MachineProof(SECRET)
NOBODY = "the user name is no e-mail address and the password no token or license file"
LICENSE = {"id": "x", "registry_token": TOKEN}
FILE = json.dumps({"kind": "License", "version": 1, "license": LICENSE, "signature": "a.b.c"}, indent=2)


def password(username: str, text: str) -> Proof:
    """Classify a user name and a password."""
    return classify(UserPassword(username, Secret(text)))


@pytest.mark.parametrize(
    "username", ["license", "<token>", "me@acme.test", TOKEN, "", "anything", "\u0430", "x" * 10_000]
)
@pytest.mark.parametrize("text", [TOKEN, FILE])
def test_a_machine_says_who_it_is(username: str, text: str) -> None:
    """Beside a machine secret or a license file the user name does not count, whatever convention it follows."""
    assert MACHINE == password(username, text)


@pytest.mark.parametrize("kind", ["lic", "pat", "sa", "ref"])
def test_kinds(kind: str) -> None:
    """Every kind of machine secret is told by its own text, as a password and as a refresh token."""
    secret = machine_secret(kind)

    assert [MachineProof(secret)] * 2 == [password("x", secret.text.reveal()), classify(RefreshGrant(secret.text))]


@pytest.mark.parametrize(
    "text",
    [
        FILE.replace("\n", "\r\n"),
        FILE.replace("\n", ""),
        "\ufeff" + FILE,
        "\ufeff\r\n" + FILE,
        FILE + "\r\n",
        "\n\t " + FILE,
        "\ufeff" + FILE.replace("\n", "\r\n") + "\n",
        TOKEN + "\n",
        f"  {TOKEN}\r\n",
        "\ufeff" + TOKEN,
        "?" + FILE,
        "?" + TOKEN,
        "".join(f"{character}\0" for character in "\ufffd\ufffd" + FILE)[1:],
    ],
    ids=[
        "crlf",
        "joined",
        "bom",
        "bom and line",
        "trailing",
        "leading",
        "all",
        "token line",
        "token blanks",
        "token bom",
        "question mark",
        "token question mark",
        "utf-16",
    ],
)
def test_wrappings(text: str) -> None:
    """What shells and editors put around a file or a token does not count."""
    assert MACHINE == password("license", text)
    assert MACHINE == classify(RefreshGrant(Secret(text)))


def edited(**changes: Any) -> str:
    """Return the license file with something else in it."""
    return json.dumps(json.loads(FILE) | changes)


@pytest.mark.parametrize(
    "text",
    [
        edited(kind="x"),
        edited(signature=None),
        edited(license={"registry_token": TOKEN}),
        edited(extra=[1]),
        FILE.replace('"id": "x"', '"id": "y"'),
        FILE.replace('"registry_token"', '"registry_token": "x", "registry_token"'),
    ],
    ids=["kind", "unsigned", "bare", "extra", "edited", "twice"],
)
def test_nothing_else_in_a_file_counts(text: str) -> None:
    """A file is a wrapper around its token: edited or not, the server asks its own records, not the file."""
    assert MACHINE == password("license", text)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        "{" + TOKEN,
        '{"license": 1}',
        '{"license": {}}',
        edited(license={"registry_token": 1}),
        edited(license={"registry_token": "x"}),
        edited(license={"registry_token": TOKEN[:-1]}),
        edited(license={"registry_token": FILE}),
        edited(license={"registry_token": " " + TOKEN}),
        edited(license={"registry_token": "\ud800"}),
        edited(license=[{"registry_token": TOKEN}]),
        '{"a":' * 2000 + "1" + "}" * 2000,
        '{"license": {"x":' + "[" * 3000 + "]" * 3000 + "}}",
        edited(extra="x" * 8192),
        '{"license": {"registry_token": "' + TOKEN + '", "n": ' + "1" * 5000 + "}}",
        FILE[:-3],
        FILE + "x",
        "\ufeff{",
    ],
    ids=range(19),
)
def test_files_that_are_none(text: str) -> None:
    """What begins like a file and is none is junk: it never counts as a person's password."""
    proofs = [password("me@acme.test", text), classify(RefreshGrant(Secret(text)))]

    assert [Junk("the password begins like a license file but is none")] * 2 == proofs or [
        Junk("the machine secret is misspelt")
    ] * 2 == proofs


@pytest.mark.parametrize(
    "text", [TOKEN[:-1], TOKEN + "x", TOKEN[:-1] + "!", "asv_", "asv_hello-my-password", TOKEN.lower()]
)
def test_misspelt_secrets(text: str) -> None:
    """A damaged machine secret never becomes a person's password, so the store is not asked."""
    assert Junk("the machine secret is misspelt") == password("me@acme.test", text)


def test_people() -> None:
    """An address and a password are a person; both lose what a file or a shell has added at their ends."""
    proof = password(" Me@Acme.TEST ", " pass word \r\n")
    assert isinstance(proof, PasswordProof)
    assert ("me@acme.test", "pass word") == (proof.email, proof.password.reveal())


@pytest.mark.parametrize("text", ["?open sesame, please", "?{not a file}", "\ufffdpass word", "pass\0word"])
def test_a_password_with_odd_characters(text: str) -> None:
    """Only a real file or token loses the characters that a shell may have put there."""
    proof = password("me@acme.test", text)
    assert isinstance(proof, PasswordProof)
    assert text == proof.password.reveal()


@pytest.mark.parametrize(
    ("username", "text", "why"),
    [
        ("me@acme.test", "", "the password is empty"),
        ("", "", "the password is empty"),
        (
            "license",
            "correct horse battery",
            NOBODY,
        ),
        ("", "correct horse battery", NOBODY),
        (
            "m\u0435@acme.test",
            "correct horse",
            NOBODY,
        ),
    ],
)
def test_nobody(username: str, text: str, why: str) -> None:
    """An empty password or a name that can be nobody's is junk."""
    assert Junk(why) == password(username, text)


@pytest.mark.parametrize(
    ("presented", "expected"),
    [
        (None, Nothing()),
        (Unreadable("why"), Junk("why")),
        (RefreshGrant(Secret("")), Junk("the refresh token was not issued here")),
        (RefreshGrant(Secret("correct horse battery")), Junk("the refresh token was not issued here")),
    ],
)
def test_the_rest(presented: Any, expected: Proof) -> None:
    """Nothing is nothing, what cannot be read is junk, and a refresh token is never a password."""
    assert expected == classify(presented)


@given(st.text(max_size=60) | st.text(st.sampled_from('{}asv_\ufeff \n"x\xa0'), max_size=40))
def test_every_allowed_password_is_a_password(text: str) -> None:
    """A password that the rules accept always logs its owner in: it is never taken for a token or a file."""
    try:
        check_rules(Secret(text), [])
    except InputRefused:
        return

    assert PasswordProof("me@acme.test", Secret(text)) == password("me@acme.test", text)


@given(st.text(max_size=40), st.text(max_size=200))
def test_classifying_is_total(username: str, text: str) -> None:
    """Whatever is presented is told apart, and only a real token makes a machine."""
    proof = password(username, text)

    assert not isinstance(proof, MachineProof) or isinstance(proof.secret, MachineSecret)


def test_no_print() -> None:
    """A proof in a log or a traceback shows neither password nor token."""
    assert "hunter2" not in repr(password("me@acme.test", "hunter2hunter2h"))
    assert TOKEN[-40:] not in repr(password("license", FILE))


# --- several licenses in one password ----------------------------------------------------------------------------

NINE = [license_token(f"c00000000000000{number}") for number in range(1, 10)]
TOKENS = [secret.text.reveal() for secret in NINE]
DAMAGED = TOKENS[8][:-1] + "0"


@pytest.mark.parametrize("number", range(2, MAX_JOINED + 1))
def test_joined_licenses(number: int) -> None:
    """Up to eight registry tokens, joined by dots, are as many licenses: as a password and as a refresh token."""
    text = ".".join(TOKENS[:number])

    assert [LicensesProof(tuple(NINE[:number]))] * 2 == [
        password("anybody", f"\ufeff{text}\r\n"),
        classify(RefreshGrant(Secret(text))),
    ]


def test_one_too_many_is_refused_with_the_reason() -> None:
    """Nine are refused before anything is looked up, and the customer is told what to do; repetitions count."""
    for text in (".".join(TOKENS), ".".join(TOKENS[:1] * 9)):
        proof = password("license", text)
        assert isinstance(proof, Junk)
        assert proof.message == (
            "the password joins 9 license secrets, and 8 are allowed; keep only the licenses that you need"
        )


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([TOKENS[0], TOKENS[0]], MachineProof(NINE[0])),
        ([TOKENS[0], TOKENS[1], TOKENS[0]], LicensesProof((NINE[0], NINE[1]))),
        ([TOKENS[0], DAMAGED], LicensesProof((NINE[0],), damaged=1)),
        ([DAMAGED, TOKENS[0], "asv_lic_"], LicensesProof((NINE[0],), damaged=2)),
        ([DAMAGED, DAMAGED], Junk("the machine secret is misspelt")),
    ],
    ids=["twice", "among others", "one damaged", "two damaged", "all damaged"],
)
def test_repeated_and_damaged_ones(parts: list[str], expected: Proof) -> None:
    """The same secret twice is one, and a damaged one spoils nothing for the others."""
    assert expected == password("license", ".".join(parts))


@pytest.mark.parametrize(
    "text",
    [
        f"{TOKENS[0]}.",
        f"{TOKENS[0]}..{TOKENS[1]}",
        f"{TOKENS[0]}.{machine_secret('pat').text.reveal()}",
        f"{machine_secret('sa').text.reveal()}.{TOKENS[0]}",
        f"{TOKENS[0]}.{FILE}",
        f"{TOKENS[0]}.\n{TOKENS[1]}",
        "asv_hello.my-password",
    ],
    ids=["dot at the end", "two dots", "personal token", "service account", "file", "line break", "password"],
)
def test_only_license_secrets_are_joined(text: str) -> None:
    """Whatever else stands between dots makes the whole password junk: classes of credentials never mix."""
    assert Junk("the password joins something else than license secrets") == password("me@acme.test", text)
