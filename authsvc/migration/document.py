"""The configuration of docker_auth, read from the nodes of its YAML: users and the entries of the static ACL.

Whatever would make docker_auth itself refuse the file or fail is a problem with a line, and so is a key that is there
twice. What is not looked at is named, so that nothing is left out without a word.
"""

from collections.abc import Iterator

from attrs import define, field, frozen
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MAX_USERS = 2_000
"""Most users."""

MAX_ENTRIES = 2_000
"""Most entries of the ACL."""

MAX_MEMBERS = 100
"""Most keys of one mapping, but for users."""

MAX_ACTIONS = 20
MAX_LENGTH = 1_000
"""Longest text that is read, in characters."""

AUTHENTICATION = frozenset(
    {
        "ext_auth", "github_auth", "gitlab_auth", "google_auth", "ldap_auth", "mongo_auth", "oidc_auth", "plugin_authn",
        "xorm_auth",
    }
)  # fmt: skip
"""Keys of what knows accounts that the file does not list."""

AUTHORIZATION = frozenset({"acl_mongo", "acl_xorm", "casbin_authz", "ext_authz", "plugin_authz"})
"""Keys of what is asked when no entry of the static ACL matches."""

_IGNORED = frozenset({"server", "token"})
"""Keys that say how docker_auth itself runs."""

_TEXT_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "timestamp"))
_NULL = "tag:yaml.org,2002:null"
_CONDITIONS = frozenset({"account", "type", "name", "ip", "service", "labels"})


@frozen
class AclEntry:
    """One entry of the ACL. The first one that matches a request decides.

    Attributes:
        line: where it begins.
        number: its place, from 1.
        account: condition, or None for any.
        type: condition, or None for any.
        name: condition, or None for any.
        actions: as they are written.
        limits: other conditions by their key, which depend on the request or on the user.
    """

    line: int
    number: int
    account: str | None
    type: str | None
    name: str | None
    actions: tuple[str, ...]
    limits: tuple[str, ...] = ()


@frozen
class ListedUser:
    """One of ``users``.

    Attributes:
        account: the user name; empty for clients that do not sign in.
        line: where it is.
        has_password: whether it has one; otherwise any password is accepted.
        usable: whether docker_auth lets it in at all; a user without a value is not known.
    """

    account: str
    line: int
    has_password: bool
    usable: bool = True


@define
class DockerAuthConfiguration:
    """What was read.

    Attributes:
        users: in their order.
        acl: in its order.
        others: other authentication and authorization, by key, with its line.
        unknown: keys that docker_auth does not have, with their lines.
        problems: line and sentence of each part that cannot be read.
    """

    users: list[ListedUser] = field(factory=list)
    acl: list[AclEntry] = field(factory=list)
    others: dict[str, int] = field(factory=dict)
    unknown: dict[str, int] = field(factory=dict)
    problems: list[tuple[int, str]] = field(factory=list)

    @classmethod
    def read(cls, root: Node) -> "DockerAuthConfiguration":
        """Return what the document says, or its problems."""
        found = cls()
        sections = dict[str, Node]()
        for key, line, value in found._members(root, "the configuration"):
            if key in {"users", "acl"}:
                sections[key] = value
            elif key in AUTHENTICATION or key in AUTHORIZATION:
                found.others[key] = line
            elif key not in _IGNORED:
                found.unknown[key] = line
        if not (sections or found.others or found.problems):
            found.problems.append((1, "this is not a configuration of docker_auth: it has neither users nor acl"))
        if "users" in sections:
            found._read_users(sections["users"])
        if "acl" in sections:
            found._read_acl(sections["acl"])
        return found

    def _read_users(self, node: Node) -> None:
        for account, line, value in self._members(node, "users", MAX_USERS):
            if _is_null(value):
                self.users.append(ListedUser(account, line, has_password=False, usable=False))
                continue
            keys = {key: one for key, _, one in self._members(value, f"user {account[:60]!r}")}
            password = keys.get("password")
            has_password = password is not None and not _is_null(password)
            self.users.append(ListedUser(account, line, has_password))

    def _read_acl(self, node: Node) -> None:
        if _is_null(node):
            return None
        if not isinstance(node, SequenceNode):
            return self._wrong(_line(node), "acl must be a list of entries")
        if len(node.value) > MAX_ENTRIES:
            return self._wrong(_line(node), f"acl has more than {MAX_ENTRIES:,} entries; split the file")
        for number, item in enumerate(node.value, 1):
            parts = {key: value for key, _, value in self._members(item, f"entry {number} of acl")}
            if not isinstance(item, MappingNode):
                continue
            missing = [key for key in ("match", "actions") if key not in parts or _is_null(parts[key])]
            if missing:
                self._wrong(_line(item), f"entry {number} of acl has no {' and no '.join(missing)}")
                continue
            self.acl.append(self._entry(item, number, parts["match"], parts["actions"]))
        return None

    def _entry(self, item: Node, number: int, match: Node, actions: Node) -> AclEntry:
        where = f"entry {number} of acl"
        texts: dict[str, str | None] = {}
        limits = []
        for key, line, value in self._members(match, f"match of {where}"):
            if _is_null(value):
                continue  # as if it were not there
            if key in {"account", "type", "name"}:
                texts[key] = self._text(value, f"{key} of {where}")
            else:
                limits.append(key if key in _CONDITIONS else f"the unknown key {key[:40]!r}")
                if key == "ip":
                    self._text(value, f"ip of {where}")
                elif key == "labels" and not isinstance(value, MappingNode):
                    self._wrong(line, f"labels of {where} must be a mapping")
        return AclEntry(
            _line(item),
            number,
            texts.get("account"),
            texts.get("type"),
            texts.get("name"),
            self._actions(actions, where),
            tuple(limits),
        )

    def _actions(self, node: Node, where: str) -> tuple[str, ...]:
        if not isinstance(node, SequenceNode) or len(node.value) > MAX_ACTIONS:
            self._wrong(_line(node), f"actions of {where} must be a list of at most {MAX_ACTIONS}, such as [pull]")
            return ()
        return tuple(text for item in node.value if (text := self._text(item, f"an action of {where}")) is not None)

    def _members(self, node: Node, what: str, most: int = MAX_MEMBERS) -> Iterator[tuple[str, int, Node]]:
        """Yield the key, line and value of each member of a mapping, of which there are not too many.

        An alias may name a mapping as often as it likes, so the bound is what limits the work.
        """
        if _is_null(node):
            return
        if not isinstance(node, MappingNode):
            self._wrong(_line(node), f"{what} must be a mapping of names to values")
            return
        if len(node.value) > most:
            self._wrong(_line(node), f"{what} has more than {most:,} members; split the file")
            return
        seen = dict[str, int]()
        for key_node, value in node.value:
            line = _line(key_node)
            key = self._text(key_node, f"a name in {what}")
            if key is None:
                continue
            if key_node.tag == "tag:yaml.org,2002:merge":
                self._wrong(line, f"{what} takes members of another mapping with '<<'; write them out")
            elif key in seen:
                self._wrong(line, f"{key[:60]!r} is in {what} twice, first on line {seen[key]}; leave one")
            else:
                seen[key] = line
                yield key, line, value

    def _text(self, node: Node, what: str) -> str | None:
        if not isinstance(node, ScalarNode) or node.tag not in {*_TEXT_TAGS, "tag:yaml.org,2002:merge"}:
            self._wrong(_line(node), f"{what} must be a text")
            return None
        text: str = node.value
        if len(text) > MAX_LENGTH:
            self._wrong(_line(node), f"{what} has more than {MAX_LENGTH:,} characters")
            return None
        return text

    def _wrong(self, line: int, sentence: str) -> None:
        self.problems.append((line, sentence))


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.tag == _NULL


def _line(node: Node) -> int:
    line: int = node.start_mark.line
    return line + 1
