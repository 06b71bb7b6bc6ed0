"""A secret that was opened a moment ago is used again; another version, and one of later, is opened anew."""

from attrs import define, evolve, field

from authsvc.keys.seal_context import SealContext
from authsvc.redaction import Secret
from authsvc.webhook_sender.recent_secrets import KEPT_FOR, MAX_KEPT, RecentSecrets
from authsvc.webhooks.webhook import SealedSigningSecret
from tests.support.upstream_links import Clock

ONE = SealedSigningSecret("sealed 1", SealContext("webhook_secret", "acme-team", "w1", 1))


def of_webhook(webhook: str) -> SealedSigningSecret:
    """Return the secret of another webhook."""
    return evolve(ONE, context=evolve(ONE.context, id=webhook))


@define
class KeyService:
    """Opens everything, and remembers what."""

    opened: list[str] = field(factory=list)

    async def unseal(self, one: SealedSigningSecret) -> Secret:
        """Return the secret in it."""
        self.opened.append(one.sealed)
        return Secret(f"secret of {one.sealed}")


async def test_a_burst_opens_a_secret_once() -> None:
    """And no longer than for some seconds; a secret that was changed is another one."""
    keys, clock = KeyService(), Clock()
    secrets = RecentSecrets(keys.unseal, clock)
    for _ in range(3):
        assert (await secrets.open(ONE)).reveal() == "secret of sealed 1"
    assert (await secrets.open(evolve(ONE, sealed="sealed 2"))).reveal() == "secret of sealed 2"
    assert keys.opened == ["sealed 1", "sealed 2"]
    clock.seconds += KEPT_FOR
    await secrets.open(ONE)
    assert keys.opened == ["sealed 1", "sealed 2", "sealed 1"]


async def test_few_secrets_are_kept() -> None:
    """The oldest goes when there are too many, and none shows itself."""
    keys = KeyService()
    secrets = RecentSecrets(keys.unseal, Clock())
    for number in range(MAX_KEPT + 1):
        await secrets.open(of_webhook(f"w{number}"))
    await secrets.open(of_webhook("w0"))
    await secrets.open(of_webhook(f"w{MAX_KEPT}"))
    assert len(keys.opened) == MAX_KEPT + 2
    assert "secret of" not in repr(secrets)
