"""Redeeming a one-time link: who is invited joins with a password of their own, who has lost theirs sets another."""

import hmac

from attrs import frozen

from authsvc.errors import InputRefused
from authsvc.manage.actor import Actor
from authsvc.manage.links import Links
from authsvc.manage.sessions import Sessions
from authsvc.outcomes import outcome_of_error
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit
from authsvc.web.portal.route import HOME, Route

DIFFERENT = "the two passwords differ"


@frozen
class JoinPages:
    """The page of a one-time link.

    Attributes:
        links: redeems them.
        sessions: begins one for who has redeemed a link.
    """

    links: Links
    sessions: Sessions

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        return (
            Route("GET", "/join", self.form, public=True),
            Route("GET", "/join/{link}", self.form, public=True),
            Route("POST", "/join", self.join, public=True),
        )

    async def form(self, visit: Visit) -> PortalAnswer:
        """Ask for the link, unless it is in the address, and for a password."""
        return PageAnswer("join", {"link": visit.names.get("link", "")})

    async def join(self, visit: Visit) -> PortalAnswer:
        """Redeem the link and sign the browser in."""
        link, password = visit.secret("link"), visit.secret("password")
        again = visit.secret("again").reveal().encode("utf-8", "surrogatepass")
        try:
            if not hmac.compare_digest(password.reveal().encode("utf-8", "surrogatepass"), again):
                raise InputRefused(DIFFERENT, code="value_unexpected", field="password")  # noqa: TRY301  as all others
            member = await self.links.redeem(link, password, visit.operation(Actor.visitor()))
        except InputRefused as error:
            values = {"link": link.reveal(), "error": str(error)}
            return PageAnswer("join", values, outcome_of_error(error).status)
        cookie = await self.sessions.begin(member.epoch, visit.client, visit.operation(Actor.of_member(member)))
        return RedirectAnswer(HOME, cookie=cookie)
