"""docker_auth as an oracle: which entry of its ACL decides, by its documentation and with none of our code."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

VARIABLE = re.compile(r"\$\{(account|type|name|service)\}")


@frozen
class Asked:
    """A request for a token.

    Attributes:
        account: who asks; empty for a client that does not sign in.
        name: of the repository.
        ip: address of the client.
        service: of the registry.
        labels: of the user.
        type: of the resource.
    """

    account: str
    name: str
    ip: str = "198.51.100.7"
    service: str = "registry"
    labels: Mapping[str, Sequence[str]] = {}
    type: str = "repository"


def allowed(acl: Sequence[Mapping[str, Any]], asked: Asked, actions: frozenset[str]) -> frozenset[str]:
    """Return what the first matching entry allows of ``actions``."""
    for entry in acl:
        if _entry_matches(entry["match"], asked):
            return actions if entry["actions"] == ["*"] else actions & frozenset(entry["actions"])
    return frozenset()


def _entry_matches(match: Mapping[str, Any], asked: Asked) -> bool:
    texts = {key: getattr(asked, key) for key in ("account", "type", "name", "service")}
    if not all(_matches(match.get(key), text, texts) for key, text in texts.items()):
        return False
    if "ip" in match and ipaddress.ip_address(asked.ip) not in ipaddress.ip_network(match["ip"]):
        return False
    wanted = match.get("labels", {})
    return all(any(_matches(p, value, texts) for value in asked.labels.get(key, ())) for key, p in wanted.items())


def _matches(pattern: str | None, text: str, variables: Mapping[str, str]) -> bool:
    if pattern is None:
        return True
    filled = VARIABLE.sub(lambda found: re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", variables[found[1]]), pattern)
    if len(filled) > 2 and filled[0] == filled[-1] == "/":
        return re.search(re.sub(r"(?<!\\)\$$", r"\\Z", filled[1:-1]), text) is not None
    return re.fullmatch(translated(filled), text, re.DOTALL) is not None


def translated(glob: str) -> str:
    """Return the regular expression of a glob of Go's ``path.Match``."""
    words = {"*": "[^/]*", "?": "[^/]"}
    parts = re.findall(r"\\.|\[\^?[^\]]+\]|.", glob, re.DOTALL)
    return "".join(words[part] if part in words else part if part[0] == "[" else re.escape(part[-1]) for part in parts)
