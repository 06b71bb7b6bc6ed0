"""Terms of a link: the checked input of a user, compared with the requirements of the provider."""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from authsvc.errors import FieldProblem, InputRefused
from authsvc.keys.seal_context import MAX_SECRET
from authsvc.redaction import Secret
from authsvc.upstreams.link import parse_exposed
from authsvc.upstreams.origin import Origin, parse_host, parse_origin
from authsvc.upstreams.providers import (
    JSON_KEY_BASE64,
    PRESETS,
    Provider,
    ProviderField,
    ProviderPreset,
    Requirement,
    ecr_region,
    token_hosts,
)

MAX_USERNAME = 255

MAX_TOKEN_HOSTS = 5
"""Most hosts that may get a link's credential."""

_ACCESS_KEY = re.compile(r"[A-Z0-9]{16,128}", re.ASCII)
_TEMPORARY_KEY = "ASIA"


@frozen
class UpstreamCredential:
    """The credential for an upstream.

    Attributes:
        username: of the secret.
        secret: password, token or key.
    """

    username: str
    secret: Secret


@frozen
class LinkTerms:
    """The checked values of a new link.

    Attributes:
        provider: of the registry.
        origin: of the registry.
        token_hosts: other hosts that may get the credential.
        repositories: patterns of the exposed repositories.
        credential: None for anonymous requests.
    """

    provider: Provider
    origin: Origin
    token_hosts: tuple[str, ...]
    repositories: tuple[str, ...]
    credential: UpstreamCredential | None

    @classmethod
    def parse(
        cls,
        provider: str,
        url: str | None,
        username: str | None,
        secret: Secret | None,
        repositories: Iterable[str],
        hosts: Sequence[str] = (),
    ) -> "LinkTerms":
        """Return the checked and completed values.

        Args:
            provider: as typed.
            url: of the registry, or None for the provider's own.
            username: or None.
            secret: or None.
            repositories: patterns.
            hosts: further hosts that may get the credential, in addition to the registry's and the provider's.

        Raises:
            InputRefused: something is missing, or not acceptable.
        """
        preset = find_preset(provider)
        _require_complete(preset, {"url": bool(url), "username": bool(username), "secret": bool(secret)})
        # Whether it may be used without TLS depends on the network that its address is in.
        origin = parse_origin(url or preset.default_url or "", plain_http=True)
        if preset.provider is Provider.ECR and ecr_region(origin.host) is None:
            raise InputRefused(
                f"{origin.text} is not the address of a private registry of Amazon ECR, such as "
                "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com; for public.ecr.aws use the provider 'other'",
                code="url_invalid",
                field="url",
            )
        return cls(
            preset.provider,
            origin,
            with_token_hosts(preset, origin, hosts),
            parse_exposed(repositories),
            parse_credential(preset, username, secret),
        )


def find_preset(provider: str) -> ProviderPreset:
    """Return the preset of a provider.

    Raises:
        InputRefused: there is no such provider.
    """
    try:
        return PRESETS[Provider(provider)]
    except ValueError:
        raise InputRefused(
            f"{provider[:40]!r} is not a provider; use one of {', '.join(Provider)}",
            code="provider_invalid",
            field="provider",
        ) from None


def with_token_hosts(preset: ProviderPreset, origin: Origin, hosts: Sequence[str]) -> tuple[str, ...]:
    """Return the hosts that may get a link's credential in addition to its own: the provider's, and the given ones.

    Raises:
        InputRefused: there are too many, or one is not a host name alone.
    """
    if len(hosts) > MAX_TOKEN_HOSTS:
        raise InputRefused(f"a link has at most {MAX_TOKEN_HOSTS} token hosts", code="url_invalid", field="token_hosts")
    given = [parse_host(host, repr(host[:80]), "token_hosts") for host in hosts]
    return tuple(dict.fromkeys([*token_hosts(preset, origin), *given]))


def parse_credential(preset: ProviderPreset, username: str | None, secret: Secret | None) -> UpstreamCredential | None:
    """Return the credential, or None when none is given and none is required.

    Args:
        preset: of the provider.
        username: as typed, or None.
        secret: as typed, with perhaps a line break at its end, or None.

    Raises:
        InputRefused: a part is missing, or has a form that is not valid for the provider.
    """
    _require_complete(preset, {"username": bool(username), "secret": bool(secret)})
    if secret is None:
        return None
    if len(secret.reveal().encode("utf-8", "surrogatepass")) > MAX_SECRET:
        raise _bad_secret(f"the secret is longer than {MAX_SECRET} bytes")
    if preset.fixed_usernames:
        return _json_key(preset, username, secret)
    name, text = username or "", secret.reveal().rstrip("\r\n")
    if not (len(name) <= MAX_USERNAME and name.isprintable() and ":" not in name):
        raise InputRefused(
            f"the username must be one line of at most {MAX_USERNAME} characters without a colon",
            code="username_invalid",
            field="username",
        )
    if not text.isprintable() or not text.strip():
        raise _bad_secret(f"the {preset.secret.words} must be one line without control characters")
    if preset.provider is Provider.ECR:
        _require_access_key(name)
    return UpstreamCredential(name, Secret(text))


def _require_access_key(name: str) -> None:
    if _ACCESS_KEY.fullmatch(name) and not name.startswith(_TEMPORARY_KEY):
        return
    reason = (
        "is a temporary access key, which ends within hours; use the key of an IAM user"
        if name.startswith(_TEMPORARY_KEY)
        else "is not an access key id such as AKIAIOSFODNN7EXAMPLE"
    )
    raise InputRefused(f"{name[:60]!r} {reason}", code="username_invalid", field="username")


def _json_key(preset: ProviderPreset, username: str | None, secret: Secret) -> UpstreamCredential:
    """Return the credential of a key file, which is given as it is or in base64."""
    text = secret.reveal().strip()
    usual, encoded = preset.fixed_usernames[0], not text.startswith("{")
    try:
        content = base64.b64decode("".join(text.split()), validate=True) if encoded else text
        key = json.loads(content)
        right = isinstance(key, dict) and key.get("type") == "service_account" and "private_key" in key
    except (binascii.Error, ValueError, RecursionError):
        right = False
    if not right:
        raise _bad_secret(f"the secret is not the {preset.secret.words}; give the whole file as it was downloaded")
    name = JSON_KEY_BASE64 if encoded else usual
    if username not in {None, name}:
        raise InputRefused(
            f"the username for this secret is {name}; leave it out", code="username_invalid", field="username"
        )
    return UpstreamCredential(name, Secret("".join(text.split()) if encoded else text))


def _require_complete(preset: ProviderPreset, given: Mapping[str, bool]) -> None:
    """Check that all values that the provider requires are given, and no others.

    Args:
        preset: of the provider.
        given: whether each of the checked values is given.

    Raises:
        InputRefused: with one problem for each value.
    """
    fields = {"url": preset.url, "username": preset.username, "secret": preset.secret}
    problems = [problem for name in given if (problem := _problem(preset, name, fields[name], given)) is not None]
    if not problems:
        return
    sentence = f"{preset.title}: {'; '.join(problem.detail for problem in problems)}"
    missing = {problem.field for problem in problems}
    if missing & {"username", "secret"}:
        sentence += f" ({preset.hint})"
    raise InputRefused(sentence, code=problems[0].code, errors=problems)


def _problem(preset: ProviderPreset, name: str, field: ProviderField, given: Mapping[str, bool]) -> FieldProblem | None:
    if given[name]:
        if field.requirement is Requirement.FIXED and name == "url":
            return FieldProblem(name, "value_unexpected", f"its address is {preset.default_url}; leave the {name} out")
        return None
    needed = field.requirement is Requirement.REQUIRED
    # A name and its secret go together.
    if name == "username" and field.requirement is Requirement.OPTIONAL:
        needed = given["secret"]
    if name == "secret" and field.requirement is Requirement.OPTIONAL:
        needed = given["username"]
    return FieldProblem(name, "value_missing", f"the {name} is missing: the {field.words}") if needed else None


def _bad_secret(sentence: str) -> InputRefused:
    return InputRefused(sentence, code="secret_invalid", field="secret")
