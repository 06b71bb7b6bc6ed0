"""The answers of an installation of which only the address is known."""

from datetime import datetime

from attrs import field, frozen

from authsvc.doctor.http_question import HttpReply, NoReply, Reply
from authsvc.public_url import PublicUrl
from authsvc.tls.certificate import SeenCertificate

MIB = 1024 * 1024


@frozen
class OutsideReplies:
    """The answers to requests without an account; None for those that were not sent.

    Attributes:
        url: the address as clients type it.
        challenge: to ``GET /v2/``.
        challenged_at: when that was asked, by the clock of this machine.
        realm_path: where clients then ask for a token, on the same host.
        token_get: to that without credentials.
        token_post: to the OAuth2 form with credentials that belong to no account.
        license_login: to credentials as long as the longest license file.
        license_header: bytes of their header.
        long_token: of ``/v2/`` to a token as long as the longest one.
        token_header: bytes of its header.
        sized_upload: to an upload whose length is announced and that does not end.
        chunked_upload: to one whose length is not announced, as docker sends it.
        upload_size: MiB that the first one announces.
        certificate: over TLS.
    """

    url: PublicUrl
    challenge: Reply
    challenged_at: datetime
    realm_path: str = "/auth/token"
    token_get: Reply | None = None
    token_post: Reply | None = None
    license_login: Reply | None = None
    license_header: int = 0
    long_token: Reply | None = None
    token_header: int = 0
    sized_upload: Reply | None = None
    chunked_upload: Reply | None = None
    upload_size: int = 0
    certificate: SeenCertificate | None = None


@frozen
class PushReplies:
    """The answers to a push that is cancelled before it completes.

    Attributes:
        url: the address as clients type it.
        token: to the request for a token that may push.
        accepted: of ``/v2/`` to that token.
        began: to the start of an upload.
        continued: to questions about it on new connections, which a balancer may send to other replicas.
        sent: to its bytes.
        size: MiB that were sent.
        seconds: in which they were sent.
        claims: the claims of the token.
    """

    url: PublicUrl
    token: Reply | None = None
    accepted: Reply | None = None
    began: Reply | None = None
    continued: tuple[Reply, ...] = ()
    sent: Reply | None = None
    size: int = 0
    seconds: float = 0
    claims: dict[str, object] = field(factory=dict, repr=False)


def outcome(reply: Reply) -> str:
    """Return the result of a request, for a sentence."""
    return reply.detail if isinstance(reply, NoReply) else f"{reply.status} {reply.reason}".strip()


def status_of(reply: Reply | None) -> int:
    """Return the status of an answer; 0 when there is none."""
    return reply.status if isinstance(reply, HttpReply) else 0
