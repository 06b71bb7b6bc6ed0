"""A secret that was opened a moment ago is used again; another version, and one of later, is opened anew."""

from attrs import define, evolve, field

from authsvc.redaction import Secret
from authsvc.upstreams.origin import Origin
from authsvc.webhook_sender.recent_secrets import KEPT_FOR, MAX_KEPT, RecentSecrets
from authsvc.webhooks.webhook import Webhook
from tests.support.builders import NOW
from tests.support.upstream_links import Clock

WEBHOOK = Webhook(
    id="w1",
    team="acme-team",
    app=None,
    origin=Origin("https", "hooks.example.com", 443),
    path="/",
    types=None,
    sealed_secret="sealed 1",
    secret_version=1,
    created_at=NOW,
    created_by=None,
    changed_at=NOW,
)


@define
class KeyService:
    """Opens everything, and remembers what."""

    opened: list[str] = field(factory=list)

    async def unseal(self, webhook: Webhook) -> Secret:
        """Return the secret of a webhook."""
        self.opened.append(webhook.sealed_secret)
        return Secret(f"secret of {webhook.sealed_secret}")


async def test_a_burst_opens_a_secret_once() -> None:
    """And no longer than for some seconds; a secret that was changed is another one."""
    keys, clock = KeyService(), Clock()
    secrets = RecentSecrets(keys.unseal, clock)
    for _ in range(3):
        assert (await secrets.open(WEBHOOK)).reveal() == "secret of sealed 1"
    assert (await secrets.open(evolve(WEBHOOK, sealed_secret="sealed 2"))).reveal() == "secret of sealed 2"
    assert keys.opened == ["sealed 1", "sealed 2"]
    clock.seconds += KEPT_FOR
    await secrets.open(WEBHOOK)
    assert keys.opened == ["sealed 1", "sealed 2", "sealed 1"]


async def test_few_secrets_are_kept() -> None:
    """The oldest goes when there are too many, and none shows itself."""
    keys = KeyService()
    secrets = RecentSecrets(keys.unseal, Clock())
    for number in range(MAX_KEPT + 1):
        await secrets.open(evolve(WEBHOOK, id=f"w{number}"))
    await secrets.open(evolve(WEBHOOK, id="w0"))
    await secrets.open(evolve(WEBHOOK, id=f"w{MAX_KEPT}"))
    assert len(keys.opened) == MAX_KEPT + 2
    assert "secret of" not in repr(secrets)
