"""kubelet's credential provider: an exec plugin of API ``credentialprovider.kubelet.k8s.io/v1``.

kubelet decodes the answer strictly, waits a minute, logs standard error, and continues anonymously when the exit code
is not 0 (kubernetes ``pkg/credentialprovider/plugin/plugin.go``).
"""

from __future__ import annotations

import calendar
import json
import time

from authsvc.installer import documents, host
from authsvc.installer.license_selection import app_of, select
from authsvc.installer.license_store import InstalledLicense, ToolError
from authsvc.installer.verification import usable

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

API_VERSION, REQUEST = "credentialprovider.kubelet.k8s.io/v1", "CredentialProviderRequest"

MAX_CACHE = 3600
"""Longest that kubelet may keep an answer, in seconds: a replaced file is used after an hour at most."""


def answer(request: str, environ: Mapping[str, str], now: float) -> tuple[str, list[str]]:
    """Return the response to kubelet's ``request``, both JSON, and what kubelet's log shall say about the files.

    Raises:
        Refused: it is not such a request, or there is no license for that image.
    """
    try:
        body = json.loads(request)
        image = body["image"]
        good = body["apiVersion"] == API_VERSION and body["kind"] == REQUEST and isinstance(image, str)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ToolError(f"standard input is no {REQUEST} of kubelet") from error
    if not good:
        raise ToolError(f"standard input is no {REQUEST} of {API_VERSION}")
    held, problems = usable(environ, host.normalise(image))
    licenses = [license_ for license_ in select(held, image, now).licenses if license_.says["app"] == app_of(image)]
    if not licenses:
        why = f" ({'; '.join(problems)})" if problems else ""
        raise ToolError(f"no license file here is for the registry and the app of {image[:300]}{why}")
    return json.dumps(documents.provider_response(licenses, cache_seconds(licenses, now))), problems


def cache_seconds(licenses: Iterable[InstalledLicense], now: float) -> int:
    """Return how long kubelet may keep an answer, never beyond the first end of a license; 0 means not at all."""
    try:
        ends = [calendar.timegm(time.strptime(one.says["expires_at"], "%Y-%m-%dT%H:%M:%SZ")) for one in licenses]
    except ValueError:
        return 0
    return max(0, min(MAX_CACHE, *(int(end - now) for end in ends)))
