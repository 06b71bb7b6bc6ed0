"""The answers of the parts of an installation to its operator."""

from datetime import datetime

from attrs import field, frozen

from authsvc.doctor.http_question import Reply
from authsvc.doctor.registry_config import RegistryConfig
from authsvc.public_url import PublicUrl
from authsvc.redaction import Secret
from authsvc.store.server_check import ServerProblem


@frozen
class OwnFacts:
    """What authsvc itself holds, as the registry must know it.

    Attributes:
        url: the public URL.
        issuer: of its tokens.
        root: fingerprint of the root that signs.
        roots: of all roots that it trusts.
        http_secret: what the state of uploads is signed with; None when it cannot be read here.
    """

    url: PublicUrl
    issuer: str
    root: str
    roots: tuple[str, ...]
    http_secret: Secret | None = field(repr=False)


@frozen
class RegistryReplies:
    """What the registry answered, asked without the proxy.

    Attributes:
        address: of the registry.
        challenge: to ``GET /v2/`` without a token.
        challenged_at: when that was asked.
        accepted: to the same with a token of authsvc.
        deleted: to the deletion of a manifest that does not exist.
        catalog: to the question for more repositories than a registry since 2.8.2 lists.
        began: to the beginning of an upload.
        continued: to questions about it, of the registry itself and of the public URL.
    """

    address: str
    challenge: Reply
    challenged_at: datetime
    accepted: Reply | None = None
    deleted: Reply | None = None
    catalog: Reply | None = None
    began: Reply | None = None
    continued: tuple[Reply, ...] = ()


@frozen
class InsideReplies:
    """All of it.

    Attributes:
        own: what authsvc holds.
        redis: what is wrong with Redis; None when it does not answer.
        worker_roots: fingerprints of the roots below which the running workers sign; empty when none are known.
        registry: None when its address is not set.
        config: its configuration; None when it cannot be read here.
        notified: to a notification without events, sent as the registry would; None when it was not sent.
        receiver: where that was sent.
    """

    own: OwnFacts
    redis: tuple[ServerProblem, ...] | None
    worker_roots: tuple[str, ...]
    registry: RegistryReplies | None
    config: RegistryConfig | None
    notified: Reply | None = None
    receiver: str = ""
