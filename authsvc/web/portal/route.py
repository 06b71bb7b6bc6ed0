"""Addresses of the portal, as data: which page is where, and who may open it."""

from collections.abc import Awaitable, Callable

from attrs import frozen

from authsvc.manage.permissions import Permission
from authsvc.web.portal.answers import PortalAnswer, Visit

PREFIX = "/portal"

HOME, SIGN_IN = f"{PREFIX}/images", f"{PREFIX}/sign-in"


@frozen
class Route:
    """One address of the portal.

    Attributes:
        method: ``GET`` or ``POST``.
        path: below the prefix, with the names of aiohttp.
        handler: answers it.
        permission: what the member must hold; a page without one is open to everybody who is signed in.
        public: whether it is open to those who are not signed in.
        asks_others: whether it may wait for a registry, a receiver or a name server; it then takes no turn from those
            that do not.
        file_bytes: of the longest body, for a form that sends a file; 0 for one that sends none.
    """

    method: str
    path: str
    handler: Callable[[Visit], Awaitable[PortalAnswer]]
    permission: Permission | None = None
    public: bool = False
    asks_others: bool = False
    file_bytes: int = 0
