"""Filters the registry's log: answers to ordinary pulls and pushes, which it logs as warnings and errors, are neither.

A client's first request has no token and gets a challenge (401), and before a push it checks whether each layer and tag
exists (404). nginx's log has a line for each. registry.sh does the same in a container.
"""

import re

_CHALLENGE = re.compile(rb'level=warning msg="error authorizing context: authorization token required"')
_ANSWER = re.compile(rb'level=error msg="response completed with error"')
_ORDINARY = re.compile(
    rb' err\.code=(?:unauthorized|"(?:manifest|blob|name) unknown") .* http\.response\.status=(?:401|404) '
)


def is_ordinary(line: bytes) -> bool:
    """Return whether a line of the registry's log is about an ordinary answer."""
    return bool(_CHALLENGE.search(line) or (_ANSWER.search(line) and _ORDINARY.search(line)))
