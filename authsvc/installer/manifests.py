"""Finds images in YAML and JSON: compose files, Kubernetes manifests, Helm values, kustomizations.

An image is

- the value of a key ``image``, at any depth: a text, a list of texts, or a mapping with ``reference`` (Kubernetes'
  image volumes), ``repository`` (Helm values) or ``name`` (GitLab CI);
- any mapping with ``repository`` and one of ``registry``, ``tag`` and ``digest``;
- an entry of a list ``images``: a text, or a kustomization's ``name``, ``newName``, ``newTag`` and ``digest``;
- the value of any other key with ``image`` in its name, if it is a complete image of the license's registry.

Aliases and merge keys are followed. Every other text that mentions the license's registry or an image of it is
reported as not looked at (:mod:`authsvc.installer.mentions`).
"""

from __future__ import annotations

import re

from yaml.nodes import MappingNode, ScalarNode, SequenceNode

from authsvc.installer import host
from authsvc.installer.mentions import Mentions
from authsvc.installer.named_images import NamedImage, problem_of
from authsvc.installer.yaml_nodes import YamlProblem, documents
from authsvc.spec.reference import Reference

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Iterator

    from yaml.nodes import Node

    Fields = dict[str, Node]

MAX_MERGED = 1_000_000
"""Most fields that merge keys may copy in one input."""

MAX_MERGE_DEPTH = 100
"""Longest chain of merge keys."""

_CORE = "tag:yaml.org,2002:"
_TEMPLATE = "a template stands here; check the finished text, as from `helm template`"
_MERGES = "its merge keys copy too much; the document with this line, and what follows, was not looked at"
_UNSEEN = "not looked at: no image is expected here; name it on the command line to have it checked"
_ALONE = "not looked at: the registry stands here by itself, and what is put together with it is not known"
_NO_TAG = "it has no tag, so something else chooses one; check the finished text"
_COMPOSE_FILES = "the file that it names is not looked at; check what `docker compose config` prints"
_KUSTOMIZE_FILES = "the files that it names are not looked at; check what `kubectl kustomize` prints"
_NAMES = ("repository", "name", "image")
"""Keys of Helm values that hold the path of an image, the most usual one first."""

_OF_HELM = {"registry", "repository", "tag", "digest"}
_TAGS = {"tag", "imagetag", "image_tag", "version", "imageversion", "image_version", "digest", "imagedigest"}
"""Keys, in lower case, that choose the tag of the image beside them."""

_KUSTOMIZE_KINDS = ("Kustomization", "Component")
_KUSTOMIZE_KEYS = (
    *("resources", "bases", "components", "helmCharts", "generators", "transformers"),
    *("patches", "patchesStrategicMerge", "patchesJson6902", "replacements"),
)
"""Keys of a kustomization that may name files, in which images may be named or replaced."""

_PLAIN_NUMBER = re.compile(r"(?:0|[1-9][0-9]{0,5})(?:\.[0-9]{0,6}[1-9])?", re.ASCII)
"""Numbers that every tool writes as they were read: 1.5, but not 1.10 or 1e3."""


def find_in_manifests(text: str, source: str, registry: str, max_nodes: int | None = None) -> list[NamedImage]:
    """Return what is named in the documents of ``text``, in the order of its lines."""
    finder = _Finder(source, registry)
    try:
        for root in documents(text, max_nodes):
            finder.read(root)
    except YamlProblem as problem:
        finder.report("-", problem.line, str(problem))
    return sorted(finder.found, key=lambda one: one.line or 0)


class _Finder:
    """Walks the nodes of one input, each of them once."""

    def __init__(self, source: str, registry: str) -> None:
        self.found: list[NamedImage] = []
        self._source = source
        self._registry = registry
        self._mentions = Mentions(registry)
        self._copied = 0
        self._begin()

    def _begin(self) -> None:
        """Forget the nodes of the document before: their ids may be given again."""
        self._images: set[int] = set()
        """Ids of the texts that were reported as an image."""
        self._used: set[int] = set()
        """Ids of the texts that became an image or a part of one."""
        self._taken: set[int] = set()
        """Ids of the mappings that were looked at as an image."""
        self._inner: set[int] = set()
        """Ids of the mappings whose own key ``image`` is a part of the image that they stand for."""
        self._merges: dict[int, Fields] = {}

    def report(self, text: str, line: int, problem: str | None, *, looked_at: bool = True) -> None:
        """Record something that was found."""
        # JSON writes a character beyond U+FFFF as two escapes, which PyYAML does not put together.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        self.found.append(NamedImage(text, self._source, line, problem, looked_at))

    def read(self, root: Node) -> None:
        """Read one document.

        Raises:
            YamlProblem: its merge keys copy too much.
        """
        self._begin()
        nodes = list(_walk(root))
        mappings = [node for node, _ in nodes if isinstance(node, MappingNode)]
        if isinstance(root, ScalarNode) or _is_list_of_texts(root):
            self._image(root)
        elif isinstance(root, MappingNode):
            self._other_files(_keys(root))
        for node in mappings:
            self._mapping(node)
        # A mapping that others merge may be a fragment, and is one when they use all of it; so it comes after them.
        merged = {id(one) for node in mappings for one in _merged_into(node)}
        for node in sorted(mappings, key=lambda one: id(one) in merged):
            if id(node) not in self._taken:
                self._bare_mapping(node, fragment=id(node) in merged)
        for text, is_key in nodes:
            if isinstance(text, ScalarNode) and id(text) not in self._used:
                self._text(text, is_key=is_key)

    def _mapping(self, node: MappingNode) -> None:
        """Read the keys of a mapping."""
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.report("-", _line(key), _TEMPLATE)
            elif key.value == "image":
                if id(node) not in self._inner:
                    self._image(value, node)
            elif key.value == "images" and isinstance(value, SequenceNode):
                for entry in value.value:
                    self._entry(entry)
            elif "image" in key.value.lower() and isinstance(value, ScalarNode):
                self._complete_image(value)
            elif key.value == "extends" and isinstance(value, MappingNode) and "file" in _keys(value):
                self.report("extends:", _line(key), _COMPOSE_FILES)

    def _image(self, value: Node, parent: MappingNode | None = None) -> None:
        """Read the value of a key ``image``, in its mapping if it has one."""
        if isinstance(value, ScalarNode):
            self._image_text(value, parent)
        elif isinstance(value, SequenceNode):
            for entry in value.value:
                if isinstance(entry, ScalarNode):
                    self._image_text(entry)
                elif isinstance(entry, MappingNode):
                    self._image_mapping(entry)
        elif isinstance(value, MappingNode):
            self._image_mapping(value)

    def _image_text(self, node: ScalarNode, parent: MappingNode | None = None) -> None:
        """Read a text that is an image; ``parent`` may have a tag that belongs to it."""
        untagged = parent is not None and self._has_tag_beside(node, parent)
        if id(node) in self._images and not untagged:
            return
        self._images.add(id(node))
        self._used.add(id(node))
        if not node.value or node.tag == f"{_CORE}null":
            return
        problem = problem_of(node.value)
        if not node.tag.startswith(_CORE) or node.tag == f"{_CORE}binary":
            problem = f"it has the tag {node.tag.replace(_CORE, '!!')}, whose meaning is not known here"
        self.report(node.value, _line(node), problem or (_NO_TAG if untagged else None))

    def _has_tag_beside(self, node: ScalarNode, parent: MappingNode) -> bool:
        """Whether an image of the license's registry has no tag and its mapping has one (``imageTag: '1'``)."""
        names = {name for name, value in self._fields(parent).items() if name.lower() in _TAGS and _text(value)}
        return bool(names) and problem_of(node.value) is None and self._is_ours(node.value) and _is_untagged(node.value)

    def _image_mapping(self, node: MappingNode) -> None:
        """Read a mapping that describes an image."""
        if id(node) in self._taken or not node.value:
            return
        self._taken.add(id(node))
        fields = self._fields(node)
        whole = fields.get("reference") or (None if fields.keys() & _OF_HELM else fields.get("name"))
        if isinstance(whole, ScalarNode):
            self._image_text(whole, node)
        elif any(_text(fields.get(name)) for name in _NAMES):
            self._composed(node, fields)
        elif all(isinstance(key, ScalarNode) for key, _ in node.value):
            shown = ", ".join(key.value for key, _ in node.value[:5])
            self.report(f"image: {{{shown}}}", _line(node), "it names no image; check the finished text")

    def _bare_mapping(self, node: MappingNode, *, fragment: bool) -> None:
        """Read a mapping with any key: in Helm values, images are recognised by their content."""
        own = {key.value for key, _ in node.value if isinstance(key, ScalarNode)}
        if "repository" not in own and "<<" not in own:
            return
        fields = self._fields(node)
        if fragment and all(id(fields[name]) in self._used for name in fields.keys() & _OF_HELM):
            return
        if _text(fields.get("repository")) and fields.keys() & {"registry", "tag", "digest"}:
            self._composed(node, fields)

    def _entry(self, node: Node) -> None:
        """Read an entry of a list ``images``."""
        if isinstance(node, ScalarNode):
            self._image_text(node)
        elif isinstance(node, MappingNode):
            fields = self._fields(node)
            if not _text(fields.get("name")):
                return
            if fields.keys() & {"newName", "newTag", "digest"}:  # kustomize
                name = fields["newName"] if _text(fields.get("newName")) else fields["name"]
                given = {"name": name, "tag": fields.get("newTag")}
                if ":" not in _text(fields["name"]).rpartition("/")[2]:
                    self._used.add(id(fields["name"]))  # it selects what is replaced
                fields = {
                    **{name: value for name, value in given.items() if value is not None},
                    **{name: value for name, value in fields.items() if name == "digest"},
                }
                self._taken.add(id(node))
                self._composed(node, fields)
            elif isinstance(fields["name"], ScalarNode):
                self._complete_image(fields["name"])

    def _composed(self, node: MappingNode, fields: Fields) -> None:
        """Compose an image from registry, repository, tag and digest."""
        key, name = next((key, text) for key in _NAMES if (text := _text(fields.get(key))))
        if key == "image":
            self._inner.add(id(node))
        parts = {one: fields[one] for one in (key, "registry", "tag", "digest") if one in fields}
        self._used.update(id(part) for part in parts.values())
        registry, tag, digest = (_text(parts.get(one)) for one in ("registry", "tag", "digest"))
        path = f"{registry.rstrip('/')}/{name}" if registry else name
        text = path + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
        own = [one.value for one, _ in node.value if isinstance(one, ScalarNode) and one.value in parts]
        twice = next((one for one in own if own.count(one) > 1), None)
        problem = problem_of(text)
        if problem is None and twice is not None:
            problem = f"it has the key {twice!r} twice"
        elif problem is None and tag:
            problem = _number_problem(parts["tag"])
        elif problem is None and self._is_ours(text) and _is_untagged(text):
            problem = _NO_TAG
        self.report(text, _line(node), problem)

    def _is_ours(self, image: str) -> bool:
        return host.normalise(Reference.parse(image).domain) == host.normalise(self._registry)

    def _complete_image(self, node: ScalarNode) -> None:
        """Read a text that may be an image of the license's registry."""
        if problem_of(node.value) is None and self._is_ours(node.value) and not _is_untagged(node.value):
            self._image_text(node)

    def _text(self, node: ScalarNode, *, is_key: bool) -> None:
        """Report the images of the license's registry in a text that is not an image."""
        for found in self._mentions.find(node.value, is_key=is_key):
            line = _line(node)
            if node.style in {"|", ">"}:
                line += 1 + node.value.count("\n", 0, found.position)
            self.report(found.text, line, _ALONE if found.alone else _UNSEEN, looked_at=False)

    def _other_files(self, keys: Fields) -> None:
        """Report the files that belong to the same installation as a document and are not in the input."""
        kind = _text(keys.get("kind"))
        if kind in _KUSTOMIZE_KINDS or (not kind and _is_list_of_texts(keys.get("resources"))):
            for name in filter(keys.__contains__, _KUSTOMIZE_KEYS):
                if _names_files(name, keys[name]):
                    self.report(f"{name}:", _line(keys[name]), _KUSTOMIZE_FILES)
        if "services" in keys and "include" in keys:
            self.report("include:", _line(keys["include"]), _COMPOSE_FILES)

    def _fields(self, node: MappingNode, depth: int = 0) -> Fields:
        """Return the fields of a mapping with what its merge keys bring; its own win, then the first merged."""
        if id(node) in self._merges:
            return self._merges[id(node)]
        if depth > MAX_MERGE_DEPTH:
            raise YamlProblem(_MERGES, _line(node))
        self._merges[id(node)] = {}  # a mapping that merges itself adds nothing
        fields: Fields = {}
        for source in reversed(_merged_into(node)):
            fields.update(self._fields(source, depth + 1))
        fields.update(_keys(node))
        self._copied += len(fields)
        if self._copied > MAX_MERGED:
            raise YamlProblem(_MERGES, _line(node))
        self._merges[id(node)] = fields
        return fields


def _walk(root: Node) -> Iterator[tuple[Node, bool]]:
    """Yield every node once, and whether it is a key."""
    seen: set[int] = set()
    waiting = [(root, False)]
    while waiting:
        node, is_key = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node, is_key
        if isinstance(node, MappingNode):
            waiting += [one for key, value in reversed(node.value) for one in ((value, False), (key, True))]
        elif isinstance(node, SequenceNode):
            waiting += [(entry, False) for entry in reversed(node.value)]


def _merged_into(node: MappingNode) -> list[MappingNode]:
    """Return the mappings that a mapping merges, the most important first."""
    found: list[Node] = []
    for key, value in node.value:
        if key.tag == f"{_CORE}merge":
            found += value.value if isinstance(value, SequenceNode) else [value]
    return [one for one in found if isinstance(one, MappingNode)]


def _keys(node: MappingNode) -> Fields:
    """Return the values of a mapping by their key, without what it merges."""
    return {key.value: value for key, value in node.value if isinstance(key, ScalarNode)}


def _names_files(key: str, value: Node) -> bool:
    """Whether a key of a kustomization names files; the text of a patch may stand in it instead."""
    if key == "helmCharts":
        return True
    entries = value.value if isinstance(value, SequenceNode) else [value]
    return any(
        "\n" not in one.value if isinstance(one, ScalarNode) else isinstance(one, MappingNode) and "path" in _keys(one)
        for one in entries
    )


def _is_untagged(image: str) -> bool:
    """Whether an image has neither tag nor digest."""
    return "@" not in image and ":" not in image.rpartition("/")[2]


def _is_list_of_texts(node: Node | None) -> bool:
    return isinstance(node, SequenceNode) and all(isinstance(entry, ScalarNode) for entry in node.value)


def _text(node: Node | None) -> str:
    """Return the text of a node; empty when it has none."""
    if not isinstance(node, ScalarNode) or node.tag == f"{_CORE}null":
        return ""
    return str(node.value)


def _number_problem(node: Node | None) -> str | None:
    """Return why a tag that YAML reads as a number or a date is not known: tools print those in their own ways."""
    if node is None or node.tag in {f"{_CORE}str", "!"} or _PLAIN_NUMBER.fullmatch(str(node.value)):
        return None
    return "its tag is not a text, and tools may write it differently; put it into quotes"


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1
