"""Names of images in our registry: ``REPOSITORY``, ``REPOSITORY:TAG``, ``REPOSITORY@DIGEST``."""

import re

from attrs import frozen

from authsvc.errors import InputRefused
from authsvc.spec.reference import DIGEST, TAG, Repository

_TAG = re.compile(TAG, re.ASCII)
_DIGEST = re.compile(DIGEST, re.ASCII)


@frozen
class ImageName:
    """A repository, or an image under one of its tags or digests.

    Attributes:
        repository: full name, which begins with the slug of its app.
        tag: None for a repository and for an image that is named by its digest.
        digest: None when it is not known, or not part of the name.
    """

    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str, field: str = "image") -> "ImageName":
        """Return the name in ``text``: a repository, with a tag or a digest or neither; without a host.

        Raises:
            InputRefused: it is of another form; ``field`` names the argument.
        """
        name, at, digest = text.partition("@")
        head, colon, last = name.rpartition(":")
        repository, tag = (head, last) if colon and "/" not in last else (name, None)
        try:
            parsed = Repository.parse(repository)
        except ValueError:
            parsed = None
        usable = parsed is not None and parsed.domain is None and len(parsed.components) > 1
        if not usable or (tag is not None and not _TAG.fullmatch(tag)) or (at and not _DIGEST.fullmatch(digest)):
            raise InputRefused(
                f"{text[:80]!r} is not an image of this registry; write REPOSITORY, REPOSITORY:TAG or "
                "REPOSITORY@DIGEST, such as myapp/worker:1.2",
                code="image_invalid",
                field=field,
            )
        if at and tag is not None:
            raise InputRefused(
                f"{text[:80]!r} has a tag and a digest; name the image by one of them",
                code="image_invalid",
                field=field,
            )
        return cls(repository, tag, digest or None)

    def __str__(self) -> str:
        """Return the name as users enter it; a digest after a tag is left out."""
        if self.tag is not None:
            return f"{self.repository}:{self.tag}"
        return self.repository if self.digest is None else f"{self.repository}@{self.digest}"

    @property
    def names(self) -> tuple["ImageName", ...]:
        """The names in it that each have a history: the repository, the tag and the digest."""
        found = [ImageName(self.repository)]
        if self.tag is not None:
            found.append(ImageName(self.repository, self.tag))
        if self.digest is not None:
            found.append(ImageName(self.repository, digest=self.digest))
        return tuple(found)
