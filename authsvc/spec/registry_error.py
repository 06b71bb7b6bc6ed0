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
NAME_UNKNOWN = "NAME_UNKNOWN"
NAME_INVALID = "NAME_INVALID"
MANIFEST_UNKNOWN = "MANIFEST_UNKNOWN"
BLOB_UNKNOWN = "BLOB_UNKNOWN"

MAX_REASON_PHRASE = 200
"""Longest reason phrase we send, in bytes."""

_NOT_PRINTABLE = re.compile(r"[^ -~]+", re.ASCII)


@frozen
class RegistryError:
    """One error as docker, podman, crane and oras read it.

    Attributes:
        code: one of the specification's codes; clients show others badly.
        message: a sentence for people.
        request_id: of the request in the log and the audit; it is appended to the message and never cut off.
    """

    code: str
    message: str
    request_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the body."""
        return {"errors": [{"code": self.code, "message": self.message + self._reference}]}

    def reason_phrase(self) -> str:
        """Return the message as an HTTP/1.1 reason phrase (RFC 9112 §4): printable ASCII of at most 200 bytes.

        It is all that containerd and kubelet show of a refusal.
        """
        text = _NOT_PRINTABLE.sub("?", self.message).strip()
        room = MAX_REASON_PHRASE - len(self._reference)
        shown = text if len(text) <= room else f"{text[: room - 3].rstrip()}..."
        return shown + self._reference

    @property
    def _reference(self) -> str:
        return f" (request {self.request_id})" if self.request_id else ""
