"""The page to redeem a one-time link: an invited person joins, a member without password sets a new one."""

from http import HTTPStatus

from attrs import frozen

from authsvc.errors import Conflict, InputRefused, Overloaded, Throttled
from authsvc.manage.actor import Actor
from authsvc.manage.links import Links
from authsvc.manage.sessions import Sessions
from authsvc.redaction import Secret
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit
from authsvc.web.portal.route import HOME, SIGN_IN, Route
from authsvc.web.public_error import public_error

DIFFERENT = "the two passwords differ"


@frozen(eq=False, repr=False)
class JoinPages:
    """The page of a one-time link.

    Attributes:
        links: redeems them.
        sessions: begins one after a link was redeemed.
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
        link, password = _of_address(visit.secret("link")), visit.secret("password")
        if not visit.has_same("password", "again"):
            return PageAnswer("join", {"link": link.reveal(), "error": DIFFERENT}, HTTPStatus.BAD_REQUEST)
        try:
            member = await self.links.redeem(link, password, visit.operation(Actor.visitor()))
        except (InputRefused, Throttled, Overloaded) as error:
            public = public_error(error, visit.request_id)
            is_void = public.code == "link_void"  # then another one is asked for
            values = {"link": "" if is_void else link.reveal(), "error": public.message}
            return PageAnswer("join", values, public.status, retry_after=public.retry_after, refusal=error)
        if visit.signed_in is not None:  # with another account, or before the password was lost
            await self.sessions.end(visit.user.session.id, visit.operation())
        try:
            cookie = await self.sessions.begin(member.epoch, visit.client, visit.operation(Actor.of_member(member)))
        except Conflict:  # the link is redeemed nevertheless
            return RedirectAnswer(f"{SIGN_IN}?done=password", signs_out=True)
        return RedirectAnswer(HOME, cookie=cookie)


def _of_address(link: Secret) -> Secret:
    """Return the link alone, also when the whole address that the portal shows was pasted."""
    return Secret(link.reveal().strip().rpartition("/")[2])
