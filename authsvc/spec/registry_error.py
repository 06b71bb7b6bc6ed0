"""Error bodies that registry clients show to people (OCI distribution specification, "Error Codes")."""

import re
from typing import Any

from attrs import frozen

UNAUTHORIZED = "UNAUTHORIZED"
DENIED = "DENIED"
TOOMANYREQUESTS = "TOOMANYREQUESTS"
UNAVAILABLE = "UNAVAILABLE"
UNSUPPORTED = "UNSUPPORTED"
UNKNOWN = "UNKNOWN"

MAX_REASON_PHRASE = 200
"""Longest reason phrase we send, in bytes."""

_NOT_PRINTABLE = re.compile(r"[^ -~]+", re.ASCII)


@frozen
class RegistryError:
    """One error as docker, podman, crane and oras read it.

    Attributes:
        code: one of the specification's codes; clients show an unknown one badly.
        message: a sentence for people.
    """

    code: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return the body."""
        return {"errors": [{"code": self.code, "message": self.message}]}

    def reason_phrase(self) -> str:
        """Return the message as an HTTP/1.1 reason phrase (RFC 9112 §4): printable ASCII of at most 200 bytes.

        containerd and kubelet show nothing else of a refusal.
        """
        text = _NOT_PRINTABLE.sub("?", self.message).strip()
        return text if len(text) <= MAX_REASON_PHRASE else f"{text[: MAX_REASON_PHRASE - 3].rstrip()}..."
