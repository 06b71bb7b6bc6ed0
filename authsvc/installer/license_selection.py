"""Selects the license files that a client gets: all valid ones for the registry, or for one app.

Clients have one credential per registry and each license is for one app, so the tokens of several are returned
together, joined by dots; the server grants what each of them grants.
"""

from __future__ import annotations

import os

from authsvc.installer import host
from authsvc.installer.license_store import PROXY, InstalledLicense

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Iterable

JOINT = "."
"""Separates the registry tokens of several licenses; no token contains it."""

MAX_JOINED = 8
"""Most licenses that the server accepts in one password."""


class Selection:
    """The licenses that a client gets for a registry.

    Attributes:
        licenses: those whose tokens are returned; empty when there is no file for the registry.
        omitted: further valid ones, which did not fit.
    """

    def __init__(self, licenses: list[InstalledLicense], omitted: list[InstalledLicense]) -> None:
        """Take what was selected."""
        self.licenses = licenses
        self.omitted = omitted

    @property
    def secret(self) -> str:
        """The password: the registry token of the license, or those of several joined by dots."""
        return joined(self.licenses)


def joined(licenses: Iterable[InstalledLicense]) -> str:
    """Return the registry tokens of the licenses as one password."""
    return JOINT.join(dict.fromkeys(license_.token for license_ in licenses))


def select(held: Iterable[InstalledLicense], server: str, now: float) -> Selection:
    """Return the licenses for ``server``: a registry, or an image or repository in it.

    1. Of several files for one license the newest that is in force counts.
    2. When ``AUTHSVC_LICENSE`` names a license for an app, those for that app in the other places do not count.
    3. All that are in force by their dates are handed over. A client that names a repository, as kubelet and crane do,
       gets those of its app, as far as there are any.
    4. Of more than :data:`MAX_JOINED` those that ``AUTHSVC_LICENSE`` names, then those that were logged in with most
       recently.

    When none is in force the newest of all answers: the server's refusal then says what is wrong, and whom to ask.
    """
    registry = host.normalise(server)
    fitting = _without_overruled(license_ for license_ in held if license_.registry == registry)
    app = app_of(server)
    if any(license_.says["app"] == app for license_ in fitting):
        fitting = [license_ for license_ in fitting if license_.says["app"] == app]
    newest = _newest_files(fitting, now)
    in_force = sorted((one for one in newest if one.in_force(now)), key=_rank, reverse=True)
    if not in_force:
        return Selection(sorted(newest, key=lambda one: one.age)[-1:], [])
    return Selection(in_force[:MAX_JOINED], in_force[MAX_JOINED:])


def left_out(selection: Selection) -> list[str]:
    """Return a sentence that names the licenses which did not fit, or none."""
    if not selection.omitted:
        return []
    names = ", ".join(f"{one.says['id']} for {one.says['app']}" for one in selection.omitted)
    return [f"a client gets {MAX_JOINED} licenses at most, those that were logged in with last; left out: {names}"]


def app_of(server: str) -> str:
    """Return the slug of the app of a repository or image in a registry; empty when only the registry is named."""
    components = host.split(server)[1].split("/")
    return components[1] if components[0] == PROXY and len(components) > 1 else components[0]


def _without_overruled(licenses: Iterable[InstalledLicense]) -> list[InstalledLicense]:
    """Return the licenses without those for an app for which ``AUTHSVC_LICENSE`` names another one."""
    found = list(licenses)
    named = {license_.says["app"] for license_ in found if license_.named}
    return [license_ for license_ in found if license_.named or license_.says["app"] not in named]


def _newest_files(licenses: Iterable[InstalledLicense], now: float) -> list[InstalledLicense]:
    """Return one file for each license."""
    by_age = sorted(licenses, key=lambda one: (one.in_force(now), one.age))
    return list({license_.says["id"]: license_ for license_ in by_age}.values())


def _rank(license_: InstalledLicense) -> tuple[bool, float, str]:
    """Return a key that is greatest for the license to hand over first; the path decides between equal times."""
    return license_.named, license_.age[2], os.path.basename(license_.path)
