"""Providers of registries: what each needs from a vendor, as data.

Only Amazon ECR has a different way to get a token; the others differ in addresses, names and hints.
"""

import enum
import re
from collections.abc import Mapping

from attrs import frozen

from authsvc.upstreams.origin import Origin


class Provider(enum.StrEnum):
    """The operator of a registry, or the product that is used."""

    DOCKERHUB = "dockerhub"
    QUAY = "quay"
    GHCR = "ghcr"
    GITLAB = "gitlab"
    GAR = "gar"
    GCR = "gcr"
    ACR = "acr"
    ECR = "ecr"
    ARTIFACTORY = "artifactory"
    NEXUS = "nexus"
    HARBOR = "harbor"
    OTHER = "other"


class Requirement(enum.StrEnum):
    """Whether a value has to be given."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    FIXED = "fixed"


@frozen
class ProviderField:
    """One value that a link may require.

    Attributes:
        requirement: whether it has to be given; a fixed one is the preset's own.
        words: its name at this provider, as a phrase after "the".
    """

    requirement: Requirement
    words: str


@frozen
class ProviderPreset:
    """The properties of a provider.

    Attributes:
        provider: the provider itself.
        title: its name, for people.
        default_url: its only address, or None when every customer has a different one.
        url: whether the address has to be given.
        username: whether a name belongs to the credential.
        secret: whether a credential has to be given; without one, public repositories can be pulled.
        fixed_usernames: the only possible user names, the usual one first; empty when users choose one.
        token_hosts: other hosts that may get the credential, if the registry is at its default address.
        library: whether a repository of one component is in ``library/``.
        hint: where to get the credential.
    """

    provider: Provider
    title: str
    default_url: str | None
    url: ProviderField
    username: ProviderField
    secret: ProviderField
    hint: str
    fixed_usernames: tuple[str, ...] = ()
    token_hosts: tuple[str, ...] = ()
    library: bool = False


JSON_KEY = "_json_key"
JSON_KEY_BASE64 = "_json_key_base64"

_ECR_HOST = re.compile(
    r"[0-9]{12}\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2})\.amazonaws\.com(?:\.cn)?", re.ASCII
)


def ecr_region(host: str) -> str | None:
    """Return the region of a private registry of Amazon ECR by its host name; None when it is not one."""
    found = _ECR_HOST.fullmatch(host)
    return None if found is None else found["region"]


def token_hosts(preset: ProviderPreset, origin: Origin) -> tuple[str, ...]:
    """Return the hosts besides ``origin`` that the provider's registry at ``origin`` sends clients to for tokens."""
    return preset.token_hosts if origin.text == preset.default_url else ()


def _required(words: str) -> ProviderField:
    return ProviderField(Requirement.REQUIRED, words)


def _optional(words: str) -> ProviderField:
    return ProviderField(Requirement.OPTIONAL, words)


def _fixed(words: str) -> ProviderField:
    return ProviderField(Requirement.FIXED, words)


_KEY_HINT = (
    "create a service account that may read the repositories (roles/artifactregistry.reader), and a JSON key for it"
)

_PRESETS = (
    ProviderPreset(
        Provider.DOCKERHUB,
        "Docker Hub",
        "https://registry-1.docker.io",
        url=_fixed("address of Docker Hub"),
        username=_optional("Docker Hub account or organization"),
        secret=_optional("access token with read permission"),
        hint="make an access token with read permission in the account's settings; Hub limits pulls without one",
        token_hosts=("auth.docker.io",),
        library=True,
    ),
    ProviderPreset(
        Provider.QUAY,
        "Quay",
        "https://quay.io",
        url=_optional("address of your Quay, such as https://quay.example.com"),
        username=_optional("robot account, such as org+robot"),
        secret=_optional("token of the robot account"),
        hint="make a robot account in the organization and give it read permission on the repositories",
    ),
    ProviderPreset(
        Provider.GHCR,
        "GitHub Container Registry",
        "https://ghcr.io",
        url=_fixed("address of ghcr.io"),
        username=_optional("GitHub account that the token belongs to"),
        secret=_optional("personal access token (classic) with the scope read:packages"),
        hint="make a personal access token (classic) with the scope read:packages; fine-grained ones do not work",
    ),
    ProviderPreset(
        Provider.GITLAB,
        "GitLab",
        "https://registry.gitlab.com",
        url=_optional("address of your GitLab's registry, such as https://registry.example.com"),
        username=_optional("name of the deploy token"),
        secret=_optional("deploy token with the scope read_registry"),
        hint="make a deploy token with the scope read_registry; name your own GitLab's host as a token host",
        token_hosts=("gitlab.com",),
    ),
    ProviderPreset(
        Provider.GAR,
        "Google Artifact Registry",
        None,
        url=_required("address of your location, such as https://europe-west1-docker.pkg.dev"),
        username=_fixed("user name"),
        secret=_optional("JSON key file of a service account, or the same in base64"),
        hint=_KEY_HINT,
        fixed_usernames=(JSON_KEY, JSON_KEY_BASE64),
    ),
    ProviderPreset(
        Provider.GCR,
        "Google Container Registry",
        "https://gcr.io",
        url=_optional("address of your location, such as https://eu.gcr.io"),
        username=_fixed("user name"),
        secret=_optional("JSON key file of a service account, or the same in base64"),
        hint=_KEY_HINT,
        fixed_usernames=(JSON_KEY, JSON_KEY_BASE64),
    ),
    ProviderPreset(
        Provider.ACR,
        "Azure Container Registry",
        None,
        url=_required("address of your registry, such as https://example.azurecr.io"),
        username=_required("name of a repository-scoped token, or the id of a service principal"),
        secret=_required("password of the token or of the service principal"),
        hint="make a token with the scope map _repositories_pull; use the provider 'other' for anonymous pulls",
    ),
    ProviderPreset(
        Provider.ECR,
        "Amazon ECR",
        None,
        url=_required("address of your registry, such as https://123456789012.dkr.ecr.eu-west-1.amazonaws.com"),
        username=_required("access key id, such as AKIA…"),
        secret=_required("secret access key"),
        hint="make an IAM user with the policy AmazonEC2ContainerRegistryReadOnly and an access key for it; "
        "use the provider 'other' for public.ecr.aws",
    ),
    ProviderPreset(
        Provider.ARTIFACTORY,
        "JFrog Artifactory",
        None,
        url=_required("address of your Artifactory, such as https://example.jfrog.io"),
        username=_optional("user that the token belongs to"),
        secret=_optional("reference or identity token"),
        hint="make a token for a user who may only read; repositories begin with the key of the Docker repository",
    ),
    ProviderPreset(
        Provider.NEXUS,
        "Sonatype Nexus",
        None,
        url=_required("address of the repository's Docker connector, such as https://nexus.example.com:8443"),
        username=_optional("user, or the name part of a user token"),
        secret=_optional("password, or the pass part of a user token"),
        hint="make a user with nx-repository-view-docker-*-read",
    ),
    ProviderPreset(
        Provider.HARBOR,
        "Harbor",
        None,
        url=_required("address of your Harbor, such as https://harbor.example.com"),
        username=_optional("robot account, such as robot$project+pull"),
        secret=_optional("secret of the robot account"),
        hint="make a robot account of the project with the permission to pull repositories",
    ),
    ProviderPreset(
        Provider.OTHER,
        "another registry",
        None,
        url=_required("address of the registry, such as https://registry.example.com"),
        username=_optional("user name"),
        secret=_optional("password or token"),
        hint="use an account that may only read",
    ),
)

PRESETS: Mapping[Provider, ProviderPreset] = {preset.provider: preset for preset in _PRESETS}
"""Every provider's preset."""
