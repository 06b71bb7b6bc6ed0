"""kubelet as far as credential providers go: reads its configuration and their answers as strictly as it does.

After kubernetes ``pkg/credentialprovider/plugin`` (``config.go``, ``plugin.go``) and ``pkg/credentialprovider``
(``keyring.go``): unknown fields and other versions are refused, a call has a minute, an answer is kept for its
``cacheDuration`` under its ``cacheKeyType``, and images are matched host label by host label with a path prefix.
"""

import fnmatch
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import Factory, define

API = "credentialprovider.kubelet.k8s.io/v1"
ONE_MINUTE = 60.0

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def strict(text: str, known: set[str]) -> dict[str, Any]:
    """Decode an object that has no field twice and none that is not known."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs), pairs
        return dict(pairs)

    body = json.loads(text, object_pairs_hook=once)
    assert set(body) <= known, set(body) - known
    return dict(body)


def seconds(duration: str) -> int:
    """Return what Go's ``time.ParseDuration`` makes of ``duration``."""
    match = _DURATION.fullmatch(duration)
    assert duration
    assert match, duration
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + rest


def matches(pattern: str, image: str) -> bool:
    """Whether ``URLsMatchStr`` takes ``image`` for ``pattern``."""
    wanted, given = urlsplit(f"https://{pattern}"), urlsplit(f"https://{image}")
    ours, theirs = (wanted.hostname or "").split("."), (given.netloc.rpartition("@")[2].partition(":")[0]).split(".")
    port = re.fullmatch(r"[^:]*(?::(\d+))?", given.netloc)
    assert port, image
    same_port = (str(wanted.port) if wanted.port else None) == port[1]
    labels = len(ours) == len(theirs) and all(map(fnmatch.fnmatchcase, theirs, ours))
    return same_port and labels and given.path.startswith(wanted.path)


@define
class Kubelet:
    """One kubelet with one provider.

    Attributes:
        name: of the provider's program.
        folder: ``--image-credential-provider-bin-dir``.
        images: which it is asked about.
        arguments: of the program.
        environ: of the program.
        calls: how often it was started.
        last_cache_seconds: how long its last answer may be kept.
    """

    name: str
    folder: Path
    images: list[str]
    arguments: list[str]
    environ: dict[str, str]
    calls: int = 0
    last_cache_seconds: int = -1
    _kept: dict[str, dict[str, Any]] = Factory(dict)

    @classmethod
    def configured(cls, config: str, folder: Path, environ: Mapping[str, str]) -> "Kubelet":
        """Read a ``CredentialProviderConfig`` and refuse what kubelet refuses."""
        body = strict(config, {"apiVersion", "kind", "providers"})
        assert ("kubelet.config.k8s.io/v1", "CredentialProviderConfig") == (body["apiVersion"], body["kind"])
        (provider,) = body["providers"]
        fields = {"name", "matchImages", "defaultCacheDuration", "apiVersion", "args", "env", "tokenAttributes"}
        strict(json.dumps(provider), fields)
        assert API == provider["apiVersion"]
        assert provider["name"] not in {"", ".", ".."}
        assert not re.search(r"[\s/\\]", provider["name"])
        assert provider["matchImages"]
        assert seconds(provider["defaultCacheDuration"]) >= 0
        added = {entry["name"]: entry["value"] for entry in provider["env"]}
        return cls(provider["name"], folder, provider["matchImages"], provider["args"], {**environ, **added})

    def credentials(self, image: str) -> tuple[str, str] | None:
        """Return user name and password for ``image``; None is an anonymous pull."""
        if not any(matches(pattern, image) for pattern in self.images):
            return None
        auth = self._kept.get(image) or self._ask(image)
        for pattern in sorted(auth, reverse=True):  # the longest path first
            if matches(pattern, image):
                strict(json.dumps(auth[pattern]), {"username", "password"})
                return auth[pattern]["username"], auth[pattern]["password"]
        return None

    def _ask(self, image: str) -> dict[str, Any]:
        request = {"kind": "CredentialProviderRequest", "apiVersion": API, "image": image}
        self.calls += 1
        done = subprocess.run(
            (str(self.folder / self.name), *self.arguments),
            input=json.dumps(request).encode(),
            capture_output=True,
            env=self.environ,
            timeout=ONE_MINUTE,
            check=False,
        )
        if done.returncode != 0:
            return {}
        body = strict(done.stdout.decode(), {"kind", "apiVersion", "cacheKeyType", "cacheDuration", "auth"})
        assert (API, "CredentialProviderResponse") == (body["apiVersion"], body["kind"])
        assert body["cacheKeyType"] in {"Image", "Registry", "Global"}
        self.last_cache_seconds = seconds(body["cacheDuration"])
        auth: dict[str, Any] = body["auth"]
        if self.last_cache_seconds > 0:
            assert "Image" == body["cacheKeyType"]
            self._kept[image] = auth
        return auth
