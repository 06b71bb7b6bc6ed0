"""The pages of the team: its members and their roles, invitations and links for new passwords."""

from collections.abc import Awaitable, Callable

from attrs import frozen

from authsvc.errors import (
    AuthsvcError,
    ConfirmationNeeded,
    Conflict,
    InputRefused,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
)
from authsvc.manage.links import Links
from authsvc.manage.members import Members
from authsvc.manage.operation import Operation
from authsvc.manage.passkeys import Passkeys
from authsvc.manage.permissions import Permission
from authsvc.redaction import Secret
from authsvc.tenancy.records import Member, Role
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit, confirm_page, status_of
from authsvc.web.portal.route import PREFIX, Route

TEAM = f"{PREFIX}/team"

IN_PERSON = "your own password is changed on the page of your account, with the current one"

_DONE = {
    "role": "Role and limits were changed. Their sessions have ended.",
    "disable": "The member is disabled. Their sessions and sign-ins have ended.",
    "enable": "The member can sign in again.",
    "revoke": "The link opens nothing from now on.",
    "remove": "The member was removed, with everything that they sign in with.",
}


@frozen(eq=False, repr=False)
class TeamPages:
    """The pages of a team's people.

    Attributes:
        members: lists and changes them.
        links: creates, lists and revokes one-time links.
        passkeys: counts those of members.
        public_url: that one-time links begin with.
    """

    members: Members
    links: Links
    passkeys: Passkeys
    public_url: str

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        one, link = "/team/{member}", "/team/links/{invitation}/revoke"
        return (
            Route("GET", "/team", self.list, Permission.MEMBER_LIST),
            Route("POST", "/team/invite", self.invite, Permission.MEMBER_INVITE),
            Route("GET", link, self.ask_revoke, Permission.LINK_REVOKE),
            Route("POST", link, self.revoke, Permission.LINK_REVOKE),
            Route("GET", one, self.show, Permission.MEMBER_SHOW),
            Route("POST", f"{one}/role", self.set_role, Permission.MEMBER_SET_ROLE),
            Route("POST", f"{one}/reset", self.reset, Permission.MEMBER_RESET),
            Route("POST", f"{one}/disable", self.disable, Permission.MEMBER_DISABLE),
            Route("POST", f"{one}/enable", self.enable, Permission.MEMBER_ENABLE),
            Route("GET", f"{one}/remove", self.ask_remove, Permission.MEMBER_REMOVE),
            Route("POST", f"{one}/remove", self.remove, Permission.MEMBER_REMOVE),
        )

    async def list(self, visit: Visit) -> PortalAnswer:
        """Show the members, by address."""
        return await self._team(visit)

    async def invite(self, visit: Visit) -> PortalAnswer:
        """Show a one-time link that invites a person; only this once."""
        form, team = visit.form, visit.user.member.team
        apps = form.get("apps", "").split()
        try:
            secret = await self.links.invite(form.get("email", ""), team, form.get("role", ""), apps, visit.operation())
        except (InputRefused, NotFound, Conflict) as error:
            return await self._team(visit, error)
        return self._link(secret, form.get("email", "").strip())

    async def show(self, visit: Visit) -> PortalAnswer:
        """Show a member."""
        return await self._member(visit)

    async def reset(self, visit: Visit) -> PortalAnswer:
        """Show a one-time link with which the member sets a new password; only this once."""
        member = await self.members.show(visit.actor, visit.names["member"])
        if member.id == visit.user.member.id:
            raise PermissionDenied(IN_PERSON)
        try:
            secret = await self.links.reset(member.id, visit.operation())
        except Conflict as error:
            return await self._member(visit, error)
        return self._link(secret, member.email)

    async def ask_revoke(self, visit: Visit) -> PortalAnswer:
        """Show whose link would be revoked."""
        found = await self.links.list(visit.actor, visit.user.member.team, visit.now)
        listed = next((one.link for one in found if one.link.id == visit.names["invitation"]), None)
        if listed is None:
            return RedirectAnswer(f"{TEAM}?done=revoke")
        return confirm_page(
            f"Take back the link for {listed.email}",
            ("The link opens nothing from then on.", "A new one can be made at any time."),
            f"{TEAM}/links/{listed.id}/revoke",
            "Take back",
            TEAM,
        )

    async def revoke(self, visit: Visit) -> PortalAnswer:
        """Revoke a link."""
        try:
            await self.links.revoke(visit.names["invitation"], visit.user.member.team, visit.operation())
        except (NotFound, Conflict) as error:
            return await self._team(visit, error)
        return RedirectAnswer(f"{TEAM}?done=revoke")

    async def set_role(self, visit: Visit) -> PortalAnswer:
        """Give the member another role, and other limits."""
        role, typed = visit.form.get("role", ""), visit.form.get("apps")
        apps = None if typed is None else typed.split()
        return await self._changed(visit, "role", lambda name, op, _: self.members.set_role(name, role, apps, op))

    async def disable(self, visit: Visit) -> PortalAnswer:
        """Refuse the account from now on."""
        return await self._changed(visit, "disable", self.members.disable)

    async def enable(self, visit: Visit) -> PortalAnswer:
        """Undo it."""
        return await self._changed(visit, "enable", lambda name, op, _: self.members.enable(name, op))

    async def ask_remove(self, visit: Visit) -> PortalAnswer:
        """Say what ends with a membership."""
        return self._removal(await self.members.show(visit.actor, visit.names["member"]))

    async def remove(self, visit: Visit) -> PortalAnswer:
        """End the membership."""
        member = await self.members.show(visit.actor, visit.names["member"])
        try:
            await self.members.remove(member.id, visit.operation(), visit.form.get("confirmed") or None)
        except Conflict as error:
            return self._removal(member, error)
        return RedirectAnswer(f"{TEAM}?done=remove")

    def _removal(self, member: Member, error: AuthsvcError | None = None) -> PageAnswer:
        return confirm_page(
            f"Remove {member.email}",
            (
                f"{member.email} is {member.role} of {member.team}.",
                "Every session, sign-in and personal token of theirs ends at once.",
                "A removed member can come back with a new invitation only.",
                "To refuse someone only for a while, disable them.",
            ),
            f"{TEAM}/{member.id}/remove",
            "Remove from the team",
            f"{TEAM}/{member.id}",
            error,
        )

    async def _changed(
        self, visit: Visit, what: str, change: Callable[[str, Operation, str | None], Awaitable[object]]
    ) -> PortalAnswer:
        member = await self.members.show(visit.actor, visit.names["member"])
        try:
            await change(member.id, visit.operation(), visit.form.get("confirmed") or None)
        except (InputRefused, NotFound, Conflict) as error:
            return await self._member(visit, error, what)
        return RedirectAnswer(f"{TEAM}/{member.id}?done={what}")

    def _link(self, secret: Secret, email: str) -> PageAnswer:
        address = f"{self.public_url}{PREFIX}/join/{secret.reveal()}"
        return PageAnswer("member_link", {"address": address, "email": email})

    async def _team(self, visit: Visit, error: AuthsvcError | None = None) -> PageAnswer:
        team = visit.user.member.team
        page = await self.members.list(visit.actor, team, after=visit.query.get("after"))
        values = {
            "members": page.items,
            "passkeys": await self.passkeys.counts(visit.actor, team, page.items),
            "next": page.next,
            "links": await self.links.list(visit.actor, team, visit.now),
            "roles": list(Role),
            "fields": {name: visit.form.get(name, "") for name in ("email", "role", "apps")},
            "error": None if error is None else str(error),
            "notice": _DONE.get(visit.query.get("done", "")),
        }
        return PageAnswer("team", values, status_of(error))

    async def _member(self, visit: Visit, error: AuthsvcError | None = None, what: str = "") -> PageAnswer:
        is_old = isinstance(error, PreconditionFailed)
        values = {
            "shown": await self.members.show(visit.actor, visit.names["member"]),
            "roles": list(Role),
            "fields": {name: None if is_old else visit.form.get(name) for name in ("role", "apps")},
            "confirm": error if isinstance(error, ConfirmationNeeded) else None,
            "what": what,
            "error": None if error is None else str(error),
            "notice": _DONE.get(visit.query.get("done", "")),
        }
        return PageAnswer("member", values, status_of(error))
