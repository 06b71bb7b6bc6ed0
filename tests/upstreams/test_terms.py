"""What a person gives for a link, and what each provider needs."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from authsvc.errors import InputRefused
from authsvc.redaction import Secret
from authsvc.upstreams.providers import PRESETS, Provider, Requirement
from authsvc.upstreams.terms import LinkTerms, UpstreamCredential, parse_credential

ECR = "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com"
KEY_FILE = json.dumps({"type": "service_account", "private_key": "-----BEGIN\n", "client_email": "a@b"}, indent=2)
ENCODED = base64.encodebytes(KEY_FILE.encode()).decode()


def parse(provider: str, **given: Any) -> LinkTerms:
    """Return the terms of a link to everything of a registry."""
    secret = None if given.get("secret") is None else Secret(given["secret"])
    hosts = given.get("hosts", ())
    return LinkTerms.parse(provider, given.get("url"), given.get("username"), secret, ["**"], hosts)


@pytest.mark.parametrize(
    ("provider", "given", "origin", "hosts", "credential"),
    [
        ("dockerhub", {}, "https://registry-1.docker.io", ("auth.docker.io",), None),
        ("dockerhub", {"username": "me", "secret": "s\n"}, "https://registry-1.docker.io", ("auth.docker.io",), "me"),
        ("quay", {"username": "org+robot", "secret": "s"}, "https://quay.io", (), "org+robot"),
        ("quay", {"url": "https://quay.example.com"}, "https://quay.example.com", (), None),
        ("gitlab", {}, "https://registry.gitlab.com", ("gitlab.com",), None),
        (
            "gitlab",
            {"url": "https://registry.example.com", "hosts": ["GitLab.example.com"]},
            "https://registry.example.com",
            ("gitlab.example.com",),
            None,
        ),
        ("gar", {"url": "https://eu-docker.pkg.dev", "secret": KEY_FILE}, "https://eu-docker.pkg.dev", (), "_json_key"),
        ("gcr", {"secret": ENCODED}, "https://gcr.io", (), "_json_key_base64"),
        ("gcr", {}, "https://gcr.io", (), None),
        ("acr", {"url": "https://a.azurecr.io", "username": "t", "secret": "s"}, "https://a.azurecr.io", (), "t"),
        ("ecr", {"url": ECR, "username": "AKIAIOSFODNN7EXAMPLE", "secret": "s"}, ECR, (), "AKIAIOSFODNN7EXAMPLE"),
        (
            "harbor",
            {"url": "https://h.example.com", "username": "robot$a+b", "secret": "s"},
            "https://h.example.com",
            (),
            "robot$a+b",
        ),
        ("other", {"url": "https://r.example.com:5000"}, "https://r.example.com:5000", (), None),
    ],
)  # fmt: skip
def test_what_each_provider_needs(
    provider: str, given: Mapping[str, Any], origin: str, hosts: tuple[str, ...], credential: str | None
) -> None:
    """With exactly these values a link can be made."""
    terms = parse(provider, **given)

    assert (terms.origin.text, terms.token_hosts) == (origin, hosts)
    assert credential == (None if terms.credential is None else terms.credential.username)


@pytest.mark.parametrize(
    ("provider", "given", "problems", "words"),
    [
        ("acr", {}, {"url": "value_missing", "username": "value_missing", "secret": "value_missing"}, "azurecr.io"),
        ("acr", {"url": "https://a.azurecr.io", "username": "t"}, {"secret": "value_missing"}, "password of the token"),
        ("ecr", {"url": ECR, "secret": "s"}, {"username": "value_missing"}, "access key id"),
        ("harbor", {}, {"url": "value_missing"}, "https://harbor.example.com"),
        ("quay", {"username": "org+robot"}, {"secret": "value_missing"}, "token of the robot account"),
        ("quay", {"secret": "s"}, {"username": "value_missing"}, "org+robot"),
        ("ghcr", {"secret": "s"}, {"username": "value_missing"}, "read:packages"),
        ("dockerhub", {"url": "https://x.example"}, {"url": "value_unexpected"}, "https://registry-1.docker.io"),
        ("gar", {}, {"url": "value_missing"}, "docker.pkg.dev"),
    ],
)
def test_what_is_missing_is_named(
    provider: str, given: Mapping[str, Any], problems: dict[str, str], words: str
) -> None:
    """All at once, each as its own argument, with what it is at that provider."""
    with pytest.raises(InputRefused) as refused:
        parse(provider, **given)

    assert problems == {problem.field: problem.code for problem in refused.value.errors}
    assert words in str(refused.value)
    assert PRESETS[Provider(provider)].title in str(refused.value)


@pytest.mark.parametrize(
    ("provider", "given", "code", "field"),
    [
        ("docker", {}, "provider_invalid", "provider"),
        ("other", {"url": "r.example.com"}, "url_invalid", "url"),
        ("ecr", {"url": "https://public.ecr.aws", "username": "A" * 20, "secret": "s"}, "url_invalid", "url"),
        ("ecr", {"url": ECR, "username": "ASIAIOSFODNN7EXAMPLE", "secret": "s"}, "username_invalid", "username"),
        ("ecr", {"url": ECR, "username": "acme", "secret": "s"}, "username_invalid", "username"),
        ("quay", {"username": "a:b", "secret": "s"}, "username_invalid", "username"),
        ("quay", {"username": "a\nb", "secret": "s"}, "username_invalid", "username"),
        ("quay", {"username": "a" * 256, "secret": "s"}, "username_invalid", "username"),
        ("quay", {"username": "a", "secret": "x\ny"}, "secret_invalid", "secret"),
        ("quay", {"username": "a", "secret": "\n"}, "secret_invalid", "secret"),
        ("quay", {"username": "a", "secret": "x" * 8193}, "secret_invalid", "secret"),
        ("gcr", {"secret": "a password"}, "secret_invalid", "secret"),
        ("gcr", {"secret": '{"type": "service_account"}'}, "secret_invalid", "secret"),
        ("gcr", {"secret": '["service_account"]'}, "secret_invalid", "secret"),
        ("gcr", {"secret": "[" * 4000}, "secret_invalid", "secret"),
        ("gcr", {"secret": base64.b64encode(b"{}").decode()}, "secret_invalid", "secret"),
        ("gcr", {"secret": KEY_FILE, "username": "me"}, "username_invalid", "username"),
        ("quay", {"hosts": ["https://a.example"]}, "url_invalid", "token_hosts"),
        ("quay", {"hosts": ["a.example:8443"]}, "url_invalid", "token_hosts"),
        ("quay", {"hosts": ["a.example"] * 6}, "url_invalid", "token_hosts"),
    ],
)
def test_refused_terms(provider: str, given: Mapping[str, Any], code: str, field: str) -> None:
    """Each with the argument that is to blame, and never with the secret."""
    with pytest.raises(InputRefused) as refused:
        parse(provider, **given)

    assert (refused.value.code, refused.value.errors[0].field) == (code, field)
    secret = given.get("secret")
    assert secret in {None, "s", "\n"} or secret[:40] not in str(refused.value)


def test_a_key_file_stays_as_it_is() -> None:
    """Its line breaks are part of it; in base64 they are not."""
    assert parse_credential(PRESETS[Provider.GAR], None, Secret(KEY_FILE)) == UpstreamCredential(
        "_json_key", Secret(KEY_FILE)
    )
    found = parse_credential(PRESETS[Provider.GAR], None, Secret(ENCODED))
    assert found is not None
    assert base64.b64decode(found.secret.reveal(), validate=True).decode() == KEY_FILE


@pytest.mark.parametrize("provider", Provider)
def test_without_a_credential(provider: Provider) -> None:
    """Whether a provider can be asked without one is what its preset says."""
    preset = PRESETS[provider]
    if preset.secret.requirement is Requirement.REQUIRED:
        with pytest.raises(InputRefused, match="the secret is missing"):
            parse_credential(preset, None, None)
    else:
        assert parse_credential(preset, None, None) is None
