"""Routes of the portal, as data: the path of each page, and the permission that it requires."""

from collections.abc import Awaitable, Callable

from attrs import frozen

from authsvc.manage.permissions import Permission
from authsvc.web.portal.answers import PortalAnswer, Visit

PREFIX = "/portal"

HOME, SIGN_IN = f"{PREFIX}/images", f"{PREFIX}/sign-in"


@frozen
class Route:
    """One route of the portal.

    Attributes:
        method: ``GET`` or ``POST``.
        path: below the prefix, with the names of aiohttp.
        handler: answers it.
        permission: that the member must have; a page without one is open to all signed-in members.
        public: whether it is open to visitors who are not signed in.
        asks_others: whether it may wait for a registry, a receiver or a name server; it then has separate turns.
        file_bytes: of the longest body, for a form that sends a file; 0 for one that sends none.
    """

    method: str
    path: str
    handler: Callable[[Visit], Awaitable[PortalAnswer]]
    permission: Permission | None = None
    public: bool = False
    asks_others: bool = False
    file_bytes: int = 0
