"""Tokens that authsvc would never issue, signed under its own root: what an escalated grant would open."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec

from authsvc.issuance import ISSUER
from authsvc.keys.secrets_dir import load_token_root
from authsvc.signing.jws import Leaf
from authsvc.signing.root import issue_leaf
from authsvc.spec.claims import Access, Claims
from tests.support.stack import Stack


def forge(
    stack: Stack,
    access: Mapping[str, Sequence[str]],
    *,
    subject: str = "member:forged",
    life: timedelta = timedelta(minutes=5),
    age: timedelta = timedelta(0),
) -> str:
    """Return a token that gives ``access`` (repository → actions), made ``age`` ago for ``life``."""
    now = datetime.now(UTC)
    root, root_key = load_token_root(stack.data_dir / "secrets")
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = Leaf(key, issue_leaf(root, root_key, key.public_key(), serial=secrets.randbits(100) | 1, now=now))
    claims = Claims(
        issuer=ISSUER,
        subject=subject,
        audience=stack.name,
        issued_at=now - age,
        expires_at=now - age + life,
        token_id=secrets.token_hex(16),
        access=tuple(Access("repository", name, tuple(actions), None) for name, actions in access.items()),
    )
    return leaf.sign(claims.to_json())
