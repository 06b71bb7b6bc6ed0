"""How the access of a license is restored, in words that fit the reader of an explanation."""

from collections.abc import Mapping

from authsvc.audit.sentences import REMEDIES
from authsvc.manage.actor import Actor
from authsvc.manage.permissions import Permission
from authsvc.tenancy.records import Role

_NEEDED: Mapping[str, Permission] = {
    "expired": Permission.LICENSE_EXTEND,
    "revoked": Permission.LICENSE_REINSTATE,
    "archived": Permission.LICENSE_REINSTATE,
    "archived with its app": Permission.APP_REINSTATE,
}
"""The permission for each remedy."""


def remedies_for(actor: Actor) -> Mapping[str, str]:
    """Return the remedies by state; for those that the reader's role does not allow, whom to ask.

    The access level of the reader's token makes no difference: its owner can sign in.
    """
    return {state: _for(actor, _NEEDED[state], remedy) for state, remedy in REMEDIES.items()}


def _for(actor: Actor, permission: Permission, remedy: str) -> str:
    roles = permission.rule.roles
    if actor.is_operator or actor.role in roles:
        return remedy
    return f"ask {'an owner' if roles == {Role.OWNER} else 'an owner or a developer'} of the team to {remedy}"
