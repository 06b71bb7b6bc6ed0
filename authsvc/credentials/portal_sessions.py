"""Authenticates browsers that are signed in to the portal: finds the member of a cookie, as of this request."""

from collections.abc import Callable
from datetime import datetime

from attrs import frozen

from authsvc.credentials.facts import CredentialFactsReader
from authsvc.credentials.machine_secret import SESSION_KIND, MachineSecret
from authsvc.tenancy.portal_session import PortalSession
from authsvc.tenancy.records import Member


@frozen
class SignedIn:
    """The member who uses a browser.

    Attributes:
        member: the record, as of this request; never one who was removed or disabled.
        session: the record.
    """

    member: Member
    session: PortalSession


@frozen(eq=False, repr=False)
class SessionAuthenticator:
    """Authenticates the user of a browser, with two round trips to the store, as for every credential.

    Attributes:
        facts: reads the records.
        on_use: called for every session that was accepted; its idle time begins again.
    """

    facts: CredentialFactsReader
    on_use: Callable[[str, datetime], None]

    async def authenticate(self, cookie: str | None, now: datetime) -> SignedIn | None:
        """Return the signed-in member; None without a valid cookie, and when its session has ended.

        A session ends when its member's epoch changes: with a new password or role, when the member signs out
        everywhere, or is disabled or removed.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        secret = None if cookie is None else MachineSecret.parse(cookie)
        if secret is None or secret.kind != SESSION_KIND:
            return None
        known = await self.facts.credential(PortalSession, secret.id)
        if known is None or not secret.has_digest(known.sha256):
            return None
        facts = await self.facts.credential_facts(PortalSession, known.id, known.member, ())
        session, member = facts.credential, facts.member
        if session is None or member is None or not secret.has_digest(session.sha256):
            return None
        if member.removed_at is not None or member.disabled_at is not None:
            return None
        if not session.in_force(member.epoch, facts.used_at, now):
            return None
        self.on_use(session.id, now)
        return SignedIn(member, session)
