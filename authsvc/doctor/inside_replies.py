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
    """Facts about authsvc that the registry's configuration has to match.

    Attributes:
        url: the public URL.
        issuer: of its tokens.
        root: fingerprint of the root that signs.
        roots: of all roots that it trusts.
        http_secret: the key that signs the state of uploads; None when it cannot be read here.
    """

    url: PublicUrl
    issuer: str
    root: str
    roots: tuple[str, ...]
    http_secret: Secret | None = field(repr=False)


@frozen
class RegistryReplies:
    """The answers of the registry, without the proxy.

    Attributes:
        address: of the registry.
        challenge: to ``GET /v2/`` without a token.
        challenged_at: when that was asked.
        accepted: to the same request with a token of authsvc.
        deleted: to the deletion of a manifest that does not exist.
        catalog: to a request for more repositories than registries since 2.8.2 list.
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
    """All answers from inside.

    Attributes:
        own: the facts about authsvc.
        redis: the problems of Redis; None when it does not answer.
        worker_roots: fingerprints of the roots below which the running workers sign; empty when none are known.
        registry: None when its address is not set.
        config: its configuration; None when it cannot be read here.
        notified: to a notification without events, sent as the registry would; None when it was not sent.
        receiver: where the notification was sent.
    """

    own: OwnFacts
    redis: tuple[ServerProblem, ...] | None
    worker_roots: tuple[str, ...]
    registry: RegistryReplies | None
    config: RegistryConfig | None
    notified: Reply | None = None
    receiver: str = ""
