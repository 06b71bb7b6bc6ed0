"""Remembers for some seconds what linked registries do not have, so that it is not requested repeatedly."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus

from attrs import define, field

from authsvc.errors import UpstreamNotFound
from authsvc.spec.pull_path import PullKind
from authsvc.upstreams.link import UpstreamLink, cache_scope

MISSING_FOR = timedelta(seconds=5)
"""How long a registry that has said 404 is not asked for the same again; a new image is seen that much later."""

MAX_MISSING = 4096
"""Names that a process remembers."""

Key = tuple[str, str, str, str]

KINDS = frozenset({PullKind.MANIFEST, PullKind.BLOB})


@define(eq=False)
class MissingNames:
    """Names that were not found.

    Attributes:
        clock: returns the time.
    """

    clock: Callable[[], datetime]
    _until: OrderedDict[Key, tuple[datetime, str]] = field(init=False, factory=OrderedDict, repr=False)

    def check(self, link: UpstreamLink, repository: str, kind: PullKind, reference: str) -> None:
        """Check that the registry has not just answered that it does not have this.

        Raises:
            UpstreamNotFound: it does not have it.
        """
        found = self._until.get(_key(link, repository, kind, reference))
        if found is not None and timedelta() < found[0] - self.clock() <= MISSING_FOR:
            error = UpstreamNotFound(found[1])
            error.status = HTTPStatus.NOT_FOUND
            raise error

    def note(self, link: UpstreamLink, repository: str, kind: PullKind, reference: str, sentence: str) -> None:
        """Remember that the registry has just answered that it does not have this."""
        if kind not in KINDS:
            return
        key = _key(link, repository, kind, reference)
        self._until[key] = (self.clock() + MISSING_FOR, sentence)
        self._until.move_to_end(key)
        while len(self._until) > MAX_MISSING:
            self._until.popitem(last=False)


def _key(link: UpstreamLink, repository: str, kind: PullKind, reference: str) -> Key:
    return (cache_scope(link), repository, kind.name, reference)
