"""Which registry ``authsvc up`` runs: one that writes, or a read-only one for as long as garbage is collected."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from attrs import define, evolve, field

from authsvc.local.registry_locks import is_held_alone, shared
from authsvc.processes.process import Program
from authsvc.setup.layout import Layout


@define
class RegistryChoice:
    """A choice for the supervisor, by the locks of :mod:`authsvc.local.registry_locks`.

    Attributes:
        layout: the data directory.
        writing: the registry that takes pushes.
        reading: the same one, read-only.
        say: takes one line for a person.
    """

    layout: Layout
    writing: Program
    reading: Program
    say: Callable[[str], None]
    _is_read_only: bool = field(default=False, init=False)

    def is_current(self) -> bool:
        """Return whether the registry that was started last is the one that should run now."""
        with suppress(OSError):  # too many open files, for instance: the next look may succeed
            return self._must_only_read() is self._is_read_only
        return True

    @contextmanager
    def chosen(self) -> Iterator[Program]:
        """Yield the registry that is to be started within the block.

        Raises:
            OSError: a lock cannot be opened.
        """
        if is_held_alone(self.layout.collection_lock):
            yield self._changed_to(self.reading)
            return
        with shared(self.layout.writing_lock) as descriptor:
            if descriptor is None:
                yield self._changed_to(self.reading)
            else:
                # The registry inherits the share, which ends with the registry and not with us.
                yield evolve(self._changed_to(self.writing), descriptors=(*self.writing.descriptors, descriptor))

    def _must_only_read(self) -> bool:
        return is_held_alone(self.layout.collection_lock) or is_held_alone(self.layout.writing_lock)

    def _changed_to(self, program: Program) -> Program:
        was_read_only, self._is_read_only = self._is_read_only, program is self.reading
        if self._is_read_only and not was_read_only:
            self.say("the registry is read-only while garbage is collected: pulls go on, pushes are refused")
        if was_read_only and not self._is_read_only:
            self.say("garbage is not collected any more: the registry writes again")
        return program
