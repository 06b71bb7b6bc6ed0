"""Presets of providers, and the health of a link."""

from datetime import UTC, datetime, timedelta

import pytest

from authsvc.upstreams.health import UpstreamHealth
from authsvc.upstreams.origin import parse_origin
from authsvc.upstreams.providers import PRESETS, Provider, ProviderPreset, Requirement, ecr_region, token_hosts

NOW = datetime(2026, 11, 27, tzinfo=UTC)


def test_every_provider_has_a_preset() -> None:
    """Each once, under its own name."""
    assert {provider: preset.provider for provider, preset in PRESETS.items()} == {one: one for one in Provider}


@pytest.mark.parametrize("preset", PRESETS.values(), ids=str)
def test_presets_are_consistent(preset: ProviderPreset) -> None:
    """A fixed value is known, a default address is an origin, and a URL is asked for exactly where there is none."""
    if preset.default_url is not None:
        assert parse_origin(preset.default_url, plain_http=False).text == preset.default_url
    assert (preset.default_url is None) == (preset.url.requirement is Requirement.REQUIRED)
    assert bool(preset.fixed_usernames) == (preset.username.requirement is Requirement.FIXED)
    assert preset.secret.requirement is not Requirement.FIXED


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("public.ecr.aws", None),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example", None),
        ("123456789012.dkr.ecr.eu-west-1.evil.example", None),
        ("12345.dkr.ecr.eu-west-1.amazonaws.com", None),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com\n", None),
    ],
)
def test_region_of_ecr(host: str, region: str | None) -> None:
    """The region is part of the host name of a private registry, and nothing else is taken for one."""
    assert ecr_region(host) == region


def test_every_dot_of_a_host_of_ecr_counts() -> None:
    """A name with something else in the place of one dot is somebody else's."""
    host = "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"
    dots = [place for place, character in enumerate(host) if character == "."]
    assert [ecr_region(f"{host[:place]}x{host[place + 1 :]}") for place in dots] == [None] * 6


@pytest.mark.parametrize(
    ("provider", "url", "expected"),
    [
        (Provider.DOCKERHUB, "https://registry-1.docker.io", ("auth.docker.io",)),
        (Provider.GITLAB, "https://registry.gitlab.com", ("gitlab.com",)),
        (Provider.GITLAB, "https://registry.example.com", ()),
        (Provider.GITLAB, "https://registry.gitlab.com:8443", ()),
        (Provider.OTHER, "https://registry-1.docker.io", ()),
    ],
)
def test_token_hosts(provider: Provider, url: str, expected: tuple[str, ...]) -> None:
    """A credential of one's own GitLab is not for gitlab.com."""
    assert token_hosts(PRESETS[provider], parse_origin(url, plain_http=False)) == expected


@pytest.mark.parametrize(
    ("good", "error", "failing"),
    [(None, None, False), (0, None, False), (None, 0, True), (0, 1, True), (1, 0, False)],
)
def test_failing(good: int | None, error: int | None, *, failing: bool) -> None:
    """What happened last counts."""
    good_at, error_at = (None if at is None else NOW + timedelta(hours=at) for at in (good, error))

    assert UpstreamHealth(last_good_at=good_at, last_error_at=error_at).is_failing is failing
