"""Reads YAML and JSON into nodes with line numbers, within bounds; nothing is constructed from them.

PyYAML's pure-Python part does the work, from the installed package or from the zipapp. Its nodes form a graph: an
alias is the very node that its anchor names, so a walk must visit each node only once. It reads 1 MB in about two
seconds.
"""

from __future__ import annotations

import re

from yaml.composer import Composer
from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import AliasEvent
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import Resolver
from yaml.scanner import Scanner

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from yaml.nodes import Node

MAX_NODES = 500_000
"""Most nodes of one input: a node takes about a kilobyte of memory, and 5 MB of manifests have some 200,000."""

MAX_DEPTH = 200
"""Deepest nesting; the schemas in custom resource definitions reach about 60."""

_STOPPED = "; the document with this line, and what follows, was not looked at"
_TAB_AFTER_TEXT = re.compile(r"(?<=\S)[ \t]*\t[ \t]*")


class YamlProblem(Exception):
    """The input cannot be read as YAML.

    Attributes:
        line: where, counted from 1.
    """

    def __init__(self, message: str, line: int) -> None:
        """Keep the sentence and the line."""
        super().__init__(message)
        self.line = line


class _Loader(Reader, Scanner, Parser, Composer, Resolver):
    """PyYAML's loader without a constructor, which counts what it composes."""

    def __init__(self, text: str, max_nodes: int) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        Resolver.__init__(self)
        self._max_nodes = max_nodes
        self._nodes = 0
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose one node and what is in it.

        Raises:
            YamlProblem: a bound is reached.
        """
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        # An anchor may be defined again (YAML 1.2 §3.2.2.2); PyYAML alone refuses that.
        if event.anchor is not None and not isinstance(event, AliasEvent):
            self.anchors.pop(event.anchor, None)
        self._nodes += 1
        self._depth += 1
        line = event.start_mark.line + 1
        if self._depth > MAX_DEPTH:
            raise YamlProblem(f"it is nested deeper than {MAX_DEPTH} levels{_STOPPED}", line)
        if self._nodes > self._max_nodes:
            raise YamlProblem(f"it has more than {self._max_nodes} values; check it in parts{_STOPPED}", line)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def documents(text: str, max_nodes: int | None = None) -> Iterator[Node]:
    """Yield the root of each document; of no more than ``max_nodes`` values, :data:`MAX_NODES` when that is None.

    Raises:
        YamlProblem: what follows the documents yielded so far is not YAML, or more than is read.
    """
    try:
        loader = _Loader(_without_tabs(text), MAX_NODES if max_nodes is None else max_nodes)
        while (root := loader.get_node() if loader.check_node() else None) is not None:
            yield root
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = f"U+{error.character:04X}"
        raise YamlProblem(f"YAML does not allow the character {character}; nothing was looked at", line) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlProblem(f"{_sentence(error)}{_STOPPED}", 1 if mark is None else mark.line + 1) from error
    except (YAMLError, RecursionError, ValueError, OverflowError) as error:  # an escape beyond Unicode
        raise YamlProblem("this is not YAML; nothing was looked at", 1) from error


def _sentence(error: MarkedYAMLError) -> str:
    problem = str(error.problem or error.context or "this is not YAML")
    if r"'\t'" in problem:
        return "a tab indents this line, and YAML allows only spaces there"
    return f"this is not YAML: {problem}"


def _without_tabs(text: str) -> str:
    """Return ``text`` with spaces for the tabs that YAML 1.2 and JSON allow between words, and PyYAML does not."""
    if text.lstrip()[:1] in {"{", "["}:
        return text.replace("\t", " ")
    return _TAB_AFTER_TEXT.sub(" ", text) if "\t" in text else text
