"""Which registry is started, and when another one should run."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, evolve, field

from authsvc.local import programs
from authsvc.local.programs import Binaries
from authsvc.local.registry_choice import RegistryChoice
from authsvc.local.registry_locks import hold_alone
from authsvc.processes.process import Program
from authsvc.setup.init import configuration_of
from authsvc.setup.layout import Layout

BINARIES = Binaries(redis="/redis", registry="/registry", nginx="/nginx")


@define
class Scene:
    """A choice and what it said.

    Attributes:
        layout: of the data directory.
    """

    layout: Layout
    said: list[str] = field(factory=list)
    choice: RegistryChoice = field(init=False)

    @choice.default
    def _choice(self) -> RegistryChoice:
        writing, reading = (programs.registry(self.layout, BINARIES, {}, read_only=word) for word in (False, True))
        return RegistryChoice(self.layout, writing, reading, self.said.append)

    def start(self) -> Program:
        """Return what is started now."""
        with self.choice.chosen() as program:
            return program

    @contextmanager
    def collection(self) -> Iterator[None]:
        """Hold the lock of a garbage collection for the length of a block."""
        held = hold_alone(self.layout.collection_lock)
        assert held is not None
        yield
        os.close(held)


def test_a_registry_that_writes_shares_the_lock(layout: Layout) -> None:
    """While it is started, the file that it inherits prevents others from holding the lock alone."""
    scene = Scene(layout)
    with scene.choice.chosen() as program:
        (descriptor,) = program.descriptors
        assert fcntl.fcntl(descriptor, fcntl.F_GETFD)
        assert hold_alone(layout.writing_lock) is None

    assert evolve(program, descriptors=()) == scene.choice.writing
    assert program.argv[-1] == str(configuration_of(layout).registry)
    assert scene.choice.is_current()
    assert scene.said == []


def test_a_collection_asks_for_a_read_only_one(layout: Layout) -> None:
    """One that holds no lock, until the collection has ended."""
    scene = Scene(layout)
    scene.start()
    with scene.collection():
        assert not scene.choice.is_current()
        program = scene.start()
        assert scene.choice.is_current()

    assert program == scene.choice.reading
    assert program.argv[-1] == str(configuration_of(layout).read_only_registry)
    assert not scene.choice.is_current()
    assert evolve(scene.start(), descriptors=()) == scene.choice.writing
    assert scene.choice.is_current()
    assert scene.said == [
        "the registry is read-only while garbage is collected: pulls go on, pushes are refused",
        "garbage is not collected any more: the registry writes again",
    ]


def test_nothing_writes_while_the_lock_is_held_alone(layout: Layout) -> None:
    """Also when the collection was not seen: it may have begun in this moment, or be about to end."""
    scene = Scene(layout)
    alone = hold_alone(layout.writing_lock)
    assert alone is not None

    assert scene.start() == scene.choice.reading
    assert scene.choice.is_current()
    os.close(alone)
    assert not scene.choice.is_current()
    assert evolve(scene.start(), descriptors=()) == scene.choice.writing


def test_a_lock_that_cannot_be_looked_at_changes_nothing(layout: Layout) -> None:
    """The registry goes on; the next look may succeed."""
    scene = Scene(layout)
    scene.start()
    layout.collection_lock.unlink()
    layout.collection_lock.symlink_to(layout.writing_lock)

    assert scene.choice.is_current()
