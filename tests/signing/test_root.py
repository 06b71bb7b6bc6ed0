"""The root and its leaves: what the certificates say, and what they never allow."""

from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError
from hypothesis import given
from hypothesis import strategies as st

from authsvc.signing.root import BACKDATED, LEAF_LIFE, ROOT_LIFE, create_root, issue_leaf
from tests.support.builders import NOW, Root

ROOT = Root.make()
LEAF = ROOT.leaf().certificate
LEAF_KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
MADE = st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1)).map(lambda at: at.replace(tzinfo=NOW.tzinfo))  # noqa: DTZ001
AGES = st.timedeltas(timedelta(0), ROOT_LIFE - timedelta(seconds=1))
LIVES = st.timedeltas(timedelta(minutes=10), timedelta(days=90))


def constraints(certificate: x509.Certificate) -> tuple[bool, bool, int | None]:
    """Return the basic constraints of ``certificate``: critical, CA, path length."""
    extension = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    return extension.critical, extension.value.ca, extension.value.path_length


def usage(certificate: x509.Certificate) -> tuple[bool, bool, bool]:
    """Return the key usage of ``certificate``: critical, signs certificates, signs data."""
    extension = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    return extension.critical, extension.value.key_cert_sign, extension.value.digital_signature


def test_the_root_vouches_for_leaves_alone() -> None:
    """A CA with path length 0, critically so: no certificate below it can vouch for another."""
    assert (True, True, 0) == constraints(ROOT.certificate)
    assert (True, True, False) == usage(ROOT.certificate)
    ROOT.certificate.verify_directly_issued_by(ROOT.certificate)


def test_a_leaf_vouches_for_nothing() -> None:
    """CA:FALSE, critically so, and a key that signs data alone."""
    assert (True, False, None) == constraints(LEAF)
    assert (True, False, True) == usage(LEAF)


def test_a_leaf_names_its_root() -> None:
    """A leaf chains to its root by name, key identifier and signature, and to no other root of the same name."""
    authority = LEAF.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    subject = ROOT.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value

    assert subject.digest == authority.key_identifier
    LEAF.verify_directly_issued_by(ROOT.certificate)
    with pytest.raises(InvalidSignature):
        LEAF.verify_directly_issued_by(Root.make(serial=7).certificate)


def test_another_implementation_builds_the_chain() -> None:
    """A path validator that follows RFC 5280 accepts the leaf under the root, and not under another one."""

    def chain(root: Root) -> list[x509.Certificate]:
        anything = ExtensionPolicy.permit_all()
        policy = PolicyBuilder().store(Store([root.certificate])).time(NOW)
        authorities = anything.require_present(x509.BasicConstraints, Criticality.CRITICAL, None)
        verifier = policy.extension_policies(ee_policy=anything, ca_policy=authorities).build_client_verifier()
        return verifier.verify(LEAF, []).chain

    assert [LEAF, ROOT.certificate] == chain(ROOT)
    with pytest.raises(VerificationError):
        chain(Root.make())


@given(MADE, AGES, LIVES)
def test_times(made: datetime, age: timedelta, life: timedelta) -> None:
    """Both are backdated by ten minutes at least; a leaf lives as long as asked, and never beyond its root."""
    root = create_root(ROOT.key, serial=7, now=made)
    now = made + age
    leaf = issue_leaf(root, ROOT.key, LEAF_KEY, serial=8, now=now, life=life)
    second = timedelta(seconds=1)

    assert timedelta(minutes=10) <= BACKDATED
    assert BACKDATED <= made - root.not_valid_before_utc < BACKDATED + second
    assert BACKDATED <= now - leaf.not_valid_before_utc < BACKDATED + second
    assert leaf.not_valid_after_utc <= min(now + life, root.not_valid_after_utc)
    assert min(now + life, root.not_valid_after_utc) - leaf.not_valid_after_utc < second


def test_lives() -> None:
    """A root outlives most installations, a leaf lives a day."""
    assert NOW + timedelta(days=19 * 365) <= ROOT.certificate.not_valid_after_utc
    assert [NOW + timedelta(hours=24)] * 2 == [NOW + LEAF_LIFE, LEAF.not_valid_after_utc]


@pytest.mark.parametrize("serial", [1, 2**159 - 1, (1 << 158) | 1])
def test_serials(serial: int) -> None:
    """The serial is the certificate's, and makes its name, which fits in the 64 characters of a common name."""
    root = create_root(ROOT.key, serial=serial, now=NOW)
    (name,) = root.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)

    assert (serial, f"authsvc token root {serial:x}"[:64]) == (root.serial_number, name.value)
