"""Broken registries, Redis servers and webhooks, real ones, are each diagnosed by name from inside."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from authsvc.doctor.certificate_check import TrustedAuthorities
from authsvc.doctor.finding import Diagnosis
from authsvc.doctor.http_question import ServerAddress
from authsvc.doctor.inside_catalogue import INSIDE_KINDS
from authsvc.doctor.inside_checks import InsideQuestions
from authsvc.doctor.inside_replies import InsideReplies, OwnFacts
from authsvc.doctor.inside_rules import diagnose_inside
from authsvc.doctor.registry_config import RegistryConfig, read_registry_config
from authsvc.errors import SetupRefused
from authsvc.keys.secrets_dir import create_missing
from authsvc.public_url import parse_public_url
from authsvc.redaction import Secret
from authsvc.settings import CONFIG, Settings, load
from authsvc.store.server_check import ServerProblem
from authsvc.wiring.keys import operator_leaf, system_tokens
from tests.support.doctored_site import Changes, Site, running_site
from tests.support.ports import free_port
from tests.support.redis_server import server_in_background

PARTS = ("redis", "workers", "registry", "registry configuration", "webhook")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Return an installation."""
    with running_site() as running:
        yield running


def settings_of(site: Site) -> Settings:
    """Return the settings of the installation."""
    return load({CONFIG: str(site.stack.data_dir / "config/authsvc.toml"), "AUTHSVC_REDIS_DEADLINE": "60"})


def config_of(site: Site) -> RegistryConfig:
    """Return the configuration of its registry."""
    return read_registry_config(site.stack.data_dir / "config/registry.yml")


def examine(
    settings: Settings,
    config: RegistryConfig | None,
    public: ServerAddress | None = None,
    ahead: timedelta = timedelta(),
) -> Diagnosis:
    """Return what is found; ``ahead`` is how far the clock of this machine is ahead of the registry's."""
    tokens = system_tokens(settings, operator_leaf(settings, datetime.now(UTC)))
    asked = InsideQuestions(settings, tokens, config, public, lambda: datetime.now(UTC) + ahead).ask()
    return diagnose_inside(asyncio.run(asked))


def examine_registry(site: Site, changes: Changes, storage: Path | None = None, **options: Any) -> Diagnosis:
    """Return what is found with a registry whose configuration has ``changes``."""
    with site.registry(changes, storage) as socket:
        settings = evolve(settings_of(site), registry_url=f"unix://{socket}")
        return examine(settings, read_registry_config(Path(socket).parent / "registry.yml"), **options)


def codes(found: Diagnosis) -> list[str]:
    """Return the codes of all findings."""
    return [finding.code for finding in found.findings]


def public_of(site: Site) -> ServerAddress:
    """Return where its public URL is reached, when its proxy runs."""
    return ServerAddress.of(parse_public_url(site.url), TrustedAuthorities(site.authority.file).context())


def secret(site: Site, name: str) -> str:
    """Return a secret of the installation."""
    return (site.stack.data_dir / "secrets" / name).read_text().split()[0]


def test_a_good_installation_is_fine(site: Site) -> None:
    """Everything is looked at, through the public URL too, and nothing stays in the registry."""
    with site.behind():
        found = examine(settings_of(site), config_of(site), public_of(site))

    assert Diagnosis(passed=PARTS) == found
    assert [] == list((site.stack.data_dir / "registry").rglob("_uploads/*/data"))


REGISTRIES: dict[str, Callable[[Site], Changes]] = {
    "registry-issuer": lambda _: {'issuer: "authsvc"': 'issuer: "another"'},
    "registry-service": lambda s: {f'service: "localhost:{s.port}"': 'service: "registry.example"'},
    "registry-realm": lambda _: {'/auth/token"': '/token"'},
    "registry-auth-disabled": lambda _: {"auth:\n  token:": "x-auth:\n  token:"},
    "registry-delete-disabled": lambda _: {"  delete:\n    enabled: true": "  delete:\n    enabled: false"},
    "registry-read-only": lambda _: {"  delete:\n": "  maintenance: {readonly: {enabled: true}}\n  delete:\n"},
    "registry-old": lambda _: {"storage:\n": "catalog: {maxentries: 100000}\nstorage:\n"},
    "http-secret-differs": lambda s: {secret(s, "registry-http.secret"): "f" * 64},
    "webhook-missing": lambda _: {"notifications:\n": "x-notifications:\n"},
    "webhook-wrong-url": lambda _: {"/events/registry": "/events/elsewhere"},
    "webhook-wrong-bearer": lambda s: {secret(s, "registry-events.secret"): "f" * 64},
}
"""Registries with one mistake each, by the code of what is found."""


@pytest.mark.parametrize("code", REGISTRIES)
def test_a_broken_registry_is_diagnosed(site: Site, code: str) -> None:
    """One mistake, one finding, and no secret in it."""
    found = examine_registry(site, REGISTRIES[code](site))

    assert [code] == codes(found)
    for name in ("registry-http.secret", "registry-events.secret"):
        assert secret(site, name) not in repr(found)
    assert "f" * 64 not in repr(found)


def test_another_root_is_diagnosed(site: Site, tmp_path: Path) -> None:
    """The registry trusts the certificate of another installation."""
    bundle = tmp_path / "root.pem"
    bundle.write_bytes(site.authority.file.read_bytes())
    found = examine_registry(site, {str(site.stack.data_dir / "secrets/token-root.cert.pem"): str(bundle)})

    assert ["registry-root"] == codes(found)
    assert str(bundle) in found.findings[0].change


def test_without_its_configuration_the_cause_is_not_guessed(site: Site) -> None:
    """The registry says the same of a wrong issuer and of an unknown root."""
    with site.registry({'issuer: "authsvc"': 'issuer: "another"'}) as socket:
        found = examine(evolve(settings_of(site), registry_url=f"unix://{socket}"), None)

    assert ["registry-rejects-tokens"] == codes(found)
    assert ["registry configuration", "webhook"] == [one.check for one in found.skipped]


def test_a_secret_that_is_not_set_is_diagnosed(site: Site) -> None:
    """Each start of such a registry makes up another one."""
    found = examine_registry(site, {"  secret: ": "  x-secret: "})

    assert ["http-secret-differs"] == codes(found)
    assert "sets no http.secret" in found.findings[0].what


def test_different_secrets_of_replicas_are_diagnosed_without_their_configuration(site: Site) -> None:
    """An upload that is begun at one is asked about at the public URL, behind which is the other."""
    storage = site.stack.data_dir / "registry"
    with site.behind(), site.registry({secret(site, "registry-http.secret"): "f" * 64}, storage) as socket:
        settings = evolve(settings_of(site), registry_url=f"unix://{socket}")
        found = examine(settings, None, public_of(site))

    assert ["http-secret-differs"] == codes(found)
    assert "not accepted by another" in found.findings[0].what


def test_another_registry_behind_the_public_url_is_diagnosed(site: Site) -> None:
    """It does not know an upload that was begun at the registry of the settings."""
    with site.behind():
        found = examine_registry(site, {}, public=public_of(site))

    assert ["registry-storage-differs"] == codes(found)


def test_a_registry_that_is_away_is_diagnosed(site: Site) -> None:
    """So is a receiver of events where nobody is."""
    away = evolve(settings_of(site), registry_url="unix:///nonexistent/registry.sock")
    inside = (site.stack.data_dir / "run/inside-address").read_text().strip()

    assert ["registry-unreachable"] == codes(examine(away, config_of(site)))
    assert ["webhook-wrong-url"] == codes(examine_registry(site, {inside: f"127.0.0.1:{free_port()}"}))


def test_a_receiver_whose_name_the_registry_alone_knows_is_left_out(site: Site) -> None:
    """As in the network of compose.yaml."""
    inside = (site.stack.data_dir / "run/inside-address").read_text().strip()
    found = examine_registry(site, {inside: "authsvc.invalid:8081"})

    assert [] == codes(found)
    assert ["webhook"] == [one.check for one in found.skipped]


def test_a_wrong_clock_is_diagnosed(site: Site) -> None:
    """Nothing else is said then: it is why tokens are refused."""
    found = examine(settings_of(site), config_of(site), ahead=timedelta(minutes=-10))

    assert ["registry-clock"] == codes(found)
    assert "ahead of the one of this machine" in found.findings[0].what


REDIS = {
    "redis-appendfsync": ("--appendfsync", "everysec"),
    "redis-maxmemory-policy": ("--maxmemory-policy", "allkeys-lru"),
    "redis-appendonly": ("--appendonly", "no"),
    "redis-replica": ("--replicaof", "127.0.0.1", "1"),
    "redis-bgsave": ("--stop-writes-on-bgsave-error", "yes"),
}
"""Options of redis-server, by the code of what is found."""


@pytest.mark.parametrize("code", REDIS)
def test_a_redis_that_may_lose_data_is_diagnosed(site: Site, code: str) -> None:
    """Each with its line of redis.conf."""
    with server_in_background("--stop-writes-on-bgsave-error", "no", *REDIS[code]) as server:
        found = examine(evolve(settings_of(site), redis_url=server.url, registry_url=None), config_of(site))

    assert [code] == codes(found)
    assert {"workers", "registry"} == {one.check for one in found.skipped}


def test_a_redis_that_is_away_is_diagnosed(site: Site) -> None:
    """The rest is looked at all the same."""
    away = evolve(settings_of(site), redis_url=Secret("unix:///nonexistent/redis.sock"))
    found = examine(away, config_of(site))

    assert ["redis-unreachable"] == codes(found)
    assert {"registry", "webhook"} < set(found.passed)


def test_a_redis_that_hides_its_settings_is_said_so(site: Site) -> None:
    """As managed ones do."""
    with server_in_background("--rename-command", "CONFIG", "") as server:
        found = examine(evolve(settings_of(site), redis_url=server.url), config_of(site))

    assert [] == codes(found)
    assert "could not check appendfsync" in found.skipped[0].why


def test_a_worker_of_other_secrets_is_diagnosed(site: Site, tmp_path: Path) -> None:
    """Somebody restored the secrets of another day on one host."""
    create_missing(tmp_path / "secrets", datetime.now(UTC))
    others = evolve(settings_of(site), secrets_dir=tmp_path / "secrets", keys_dir=tmp_path / "secrets")
    found = examine(evolve(others, registry_url=None), None)

    assert ["worker-root"] == codes(found)


@pytest.mark.parametrize("code", ["redis-too-old", "redis-hole"])
def test_versions_of_redis_have_a_finding(code: str) -> None:
    """No such version can be run here; which ones they are is tested in tests/store/test_server_check.py."""
    problem = ServerProblem(code.removeprefix("redis-"), "the sentence", is_fatal=code == "redis-too-old")
    own = OwnFacts(parse_public_url("https://registry.example"), "authsvc", "ab", ("ab",), None)
    found = diagnose_inside(InsideReplies(own, (problem,), (), None, None))

    assert [(code, "the sentence")] == [(finding.code, finding.what) for finding in found.findings]


@pytest.mark.parametrize("text", ["", "storage: [", "a: b", "- storage"])
def test_a_file_that_is_no_registry_configuration_is_refused(tmp_path: Path, text: str) -> None:
    """Wrong usage, in one sentence that names the file."""
    file = tmp_path / "registry.yml"
    file.write_text(text)

    with pytest.raises(SetupRefused, match=str(file)):
        read_registry_config(file)


def test_every_code_is_produced_here() -> None:
    """A code that no mistake produces would be a sentence that nobody has read."""
    here = Path(__file__).read_text(encoding="utf-8")
    assert [] == [code for code in INSIDE_KINDS if f'"{code}"' not in here]
