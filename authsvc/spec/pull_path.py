"""Parses the URLs of pulls (OCI distribution specification, "Endpoints") from the request line that a client sent.

Only one spelling of a path is accepted: no escapes but ``%3A`` in a digest, and no empty or dotted components. So no
two parts of the system can interpret a path differently.
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
    """What a pull requests."""

    MANIFEST = "manifests"
    BLOB = "blobs"
    TAGS = "tags"
    REFERRERS = "referrers"


@frozen
class PullPath:
    """The path of a pull.

    Attributes:
        repository: as in a token's ``access``.
        kind: what is requested of it.
        reference: tag or digest of a manifest, digest of a blob or of the subject of referrers; ``list`` for tags.
        query: the part after ``?``, as sent.
    """

    repository: Repository
    kind: PullKind
    reference: str
    query: str = ""

    @property
    def digest(self) -> str | None:
        """The reference if it is a digest."""
        return self.reference if is_digest(self.reference) else None


def parse_pull_path(target: str) -> PullPath | None:
    """Parse a request target; return None when it is not the path of anything that can be pulled.

    Args:
        target: path and query as in the request line.
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
