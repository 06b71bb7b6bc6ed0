"""A link to the page of one license: a frozen record, and its bounds."""

from datetime import datetime, timedelta

from attrs import frozen

MAX_LINK_LIFE = timedelta(days=366)
"""Longest time for which a link works."""

DEFAULT_LINK_LIFE = "30d"
"""How long a link works unless the caller sets another time."""

MAX_LINKS = 10
"""Most valid links to the page of one license at a time."""

MAX_DOWNLOADS = 20
"""Most downloads of a license file by one link within :data:`DOWNLOAD_WINDOW`. Each adds an audit entry, and nothing
else limits their number."""

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
        creator: subject of its creator, whose rights are checked again at every use.
        token: id of the personal token with which a member made it, which must still be valid at every use; None
            without one.
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
