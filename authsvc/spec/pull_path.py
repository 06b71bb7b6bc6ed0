"""The addresses that pull images (OCI distribution specification, "Endpoints"), parsed from what a client has sent.

A path has one spelling: the letters themselves, no escape but ``%3A`` in a digest, no empty or dotted component. So
two parts of the system can never understand one path differently.
"""

import enum
import re

from attrs import frozen

from authsvc.spec.reference import Repository, is_digest, is_tag

_FORM = re.compile(
    r"/v2/(?P<name>[^?%]+)/(?P<kind>manifests|blobs|tags|referrers)/(?P<reference>[^/?]+)(?:\?(?P<query>.*))?",
    re.ASCII,
)
_ESCAPED_COLON = re.compile("%3a", re.IGNORECASE)


class PullKind(enum.StrEnum):
    """What is asked for."""

    MANIFEST = "manifests"
    BLOB = "blobs"
    TAGS = "tags"
    REFERRERS = "referrers"


@frozen
class PullPath:
    """A request's address.

    Attributes:
        repository: as it stands in a token's ``access``.
        kind: what of it.
        reference: a tag or digest of a manifest, the digest of a blob or of what is referred to; ``list`` for tags.
        query: what stood behind ``?``, as sent.
    """

    repository: Repository
    kind: PullKind
    reference: str
    query: str = ""

    @property
    def digest(self) -> str | None:
        """The reference when it is a digest."""
        return self.reference if is_digest(self.reference) else None


def parse_pull_path(target: str) -> PullPath | None:
    """Return what a request target means; None when it is not the address of anything that can be pulled.

    Args:
        target: path and query as they stood in the request line.
    """
    form = _FORM.fullmatch(target)
    if form is None:
        return None
    kind, reference = PullKind(form["kind"]), _ESCAPED_COLON.sub(":", form["reference"])
    try:
        repository = Repository.parse(form["name"])
    except ValueError:
        return None
    match kind:
        case PullKind.MANIFEST:
            good = is_tag(reference) or is_digest(reference)
        case PullKind.TAGS:
            good = reference == "list"
        case _:
            good = is_digest(reference)
    return PullPath(repository, kind, reference, form["query"] or "") if good else None
