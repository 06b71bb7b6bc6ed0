"""A link to the page of one license: a frozen record, and its bounds."""

from datetime import datetime, timedelta

from attrs import frozen

MAX_LINK_LIFE = timedelta(days=366)
"""A link ends after so long at the latest."""

DEFAULT_LINK_LIFE = "30d"
"""When a link ends of which nobody has said it."""

MAX_LINKS = 10
"""Links to the page of one license that are in force at once."""

MAX_DOWNLOADS = 20
"""Times that a license file is given out by one link within :data:`DOWNLOAD_WINDOW`. Each is a line in the audit, which
has no other limit."""

DOWNLOAD_WINDOW = timedelta(hours=1)


@frozen
class LicenseLink:
    """The right to see the page of a license and to download its file, for the holder of the link.

    Attributes:
        id: never reused.
        license: id of the license.
        app: slug of its app.
        team: slug of the vendor.
        sha256: of the whole secret, hexadecimal.
        created_at: aware.
        expires_at: the first instant at which it no longer works.
        creator: subject of who made it, whose rights are looked at again at every use.
        token: id of the personal token by which a member made it, which has to be live at every use; None if by none.
        downloaded_at: when the file was last downloaded by it, or None.
    """

    id: str
    license: str
    app: str
    team: str
    sha256: str
    created_at: datetime
    expires_at: datetime
    creator: str
    token: str | None = None
    downloaded_at: datetime | None = None
