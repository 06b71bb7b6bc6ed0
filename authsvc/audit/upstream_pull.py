"""Pulls of linked images in the audit: those that failed, and those that were answered with the last known image.

They are aggregated like decisions on tokens, so that repeated pulls do not fill the audit.
"""

from datetime import datetime
from typing import Any

from attrs import frozen

from authsvc.audit.token_event import Facts, TokenEvent
from authsvc.client import Client
from authsvc.decision import PULL
from authsvc.errors import AuthsvcError, UpstreamFailed
from authsvc.outcomes import PULL_FAILED, PULL_STALE
from authsvc.redaction import unsecret
from authsvc.spec.scope import ResourceScope
from authsvc.tenancy.subjects import split_subject


@frozen
class UpstreamImage:
    """The linked image that was requested.

    Attributes:
        team: slug; None when no registry is linked under this name.
        app: slug.
        upstream: name of the link.
        repository: as clients name it.
        reference: tag or digest, or ``list`` for its tags.
    """

    team: str | None
    app: str
    upstream: str
    repository: str
    reference: str


@frozen
class UpstreamPull:
    """A pull that a linked registry did not serve.

    Attributes:
        request_id: our id of the request; the client was shown it.
        at: time of the request.
        client: the sender.
        subject: of the registry token.
        image: that was requested.
        error: why it was not served.
        stale: digest of the last known manifest of the tag, which was served instead; None if none was.
    """

    request_id: str
    at: datetime
    client: Client
    subject: str
    image: UpstreamImage
    error: AuthsvcError
    stale: str | None = None


def pull_event(pull: UpstreamPull) -> TokenEvent:
    """Return the event of such a pull, which belongs to the team of the link.

    Several licenses in one token may belong to several teams, none of which may see the others'; such an event belongs
    to no team.
    """
    image, error = pull.image, pull.error
    owned = image.team is not None and len(split_subject(pull.subject)) == 1
    status = error.status if isinstance(error, UpstreamFailed) else None
    about: dict[str, Any] = {
        "team": image.team if owned else None,
        "app": image.app if owned else None,
        "upstream": image.upstream,
        "reference": image.reference,
        "upstream_status": status,
        "served": pull.stale,
    }
    sentence = unsecret(str(error))
    facts = Facts(
        asked=(ResourceScope("repository", image.repository, (PULL,)),),
        kind=type(error).__name__,
        reason=sentence if pull.stale is None else None,
        detail=error.detail if pull.stale is None else sentence,
        linked=tuple((name, value) for name, value in about.items() if value is not None),
    )
    return TokenEvent(
        *(pull.request_id, pull.at, PULL_FAILED if pull.stale is None else PULL_STALE),
        *(pull.subject, pull.client, facts),
        owners=((image.app, image.team),) if owned and image.team is not None else (),
    )
