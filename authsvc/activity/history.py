"""What the activity says of images and accounts, as it is read."""

from datetime import datetime

from attrs import frozen

from authsvc.activity.image_name import ImageName


@frozen
class LastUse:
    """The newest push or pull of something, or when it was found.

    Attributes:
        at: to the millisecond.
        subject: by whom; None if the event named nobody.
        digest: what the tag stood for; None where that is not known.
    """

    at: datetime
    subject: str | None
    digest: str | None = None


@frozen
class ImageHistory:
    """What is known of one repository, tag or digest. None is unknown: events may be lost, and are older than a record.

    Attributes:
        image: its name.
        pushed: the last push.
        pulled: the last pull by anyone: of a tag also that of the digest in its name, because docker and containerd
            ask for the digest of a tag and pull by digest.
        pulled_by_license: the last pull by a license, the same way.
        found: what a crawl of the registry found there, and when first, if no push of it is known.
        deleted_at: the last delete, if nothing was pushed or found since.
        is_part: whether it is a manifest of an index: one of several platforms, or an attestation.
    """

    image: ImageName
    pushed: LastUse | None = None
    pulled: LastUse | None = None
    pulled_by_license: LastUse | None = None
    found: LastUse | None = None
    deleted_at: datetime | None = None
    is_part: bool = False


@frozen
class ImagePull:
    """The last pull of an image by one account.

    Attributes:
        subject: of one record.
        at: to the second.
    """

    subject: str
    at: datetime
