"""Shows the keys in use, and changes them during operation."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from attrs import field, frozen

from authsvc.audit.entry import Entry
from authsvc.errors import Conflict, InputRefused
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.spec.claims import NOT_BEFORE_LEEWAY
from authsvc.worker_status import WorkerStatus

FOLLOWED_WITHIN = timedelta(seconds=15)
"""Time within which every worker must have renewed its certificate after a request; they check every second."""

LOOK = 0.2
"""Seconds between two checks which workers have done so."""

REGISTRY_LEEWAY = timedelta(seconds=NOT_BEFORE_LEEWAY)
"""How much longer than a token's life the registry accepts it (measured on 2.8 and 3.x)."""


@frozen
class Root:
    """A root certificate in the bundle.

    Attributes:
        fingerprint: SHA-256, hexadecimal.
        not_after: its end.
        state: ``in use``, ``prepared`` or ``old``.
    """

    fingerprint: str
    not_after: datetime
    state: str


@frozen
class KeysShown:
    """The public information about every key of the installation.

    Attributes:
        roots: in the bundle.
        license_keys: ``kid`` of each published key; the first one signs.
        workers: those with a recent heartbeat.
    """

    roots: list[Root]
    license_keys: list[str]
    workers: Sequence[WorkerStatus]


@frozen
class Rotation:
    """The workers that followed a request to renew.

    Attributes:
        reached: workers that renewed.
        missed: workers that are running and did not.
        gone: workers that ended meanwhile.
        elsewhere: workers that renewed, from another secrets directory than this one.
    """

    reached: list[WorkerStatus]
    missed: list[WorkerStatus]
    gone: list[str]
    elsewhere: list[str] = field(factory=list)

    @property
    def complete(self) -> bool:
        """Whether all workers sign and publish with the keys of this directory."""
        return bool(self.reached) and not self.missed and not self.elsewhere


class KeyFiles(Protocol):
    """The secrets directory."""

    def roots(self) -> list[Root]: ...
    async def license_keys(self) -> Sequence[str]: ...
    async def rotate_license_key(self) -> str: ...
    async def rotate_sealing_key(self) -> str: ...
    def prepare_root(self, now: datetime) -> str: ...
    def switch_root(self) -> str: ...
    def drop_old_roots(self) -> list[str]: ...


class WorkerRegistry(Protocol):
    """The registry of workers."""

    async def list(self) -> Sequence[WorkerStatus]: ...
    async def request_renewal(self, entry: Entry, above: int) -> int: ...


@frozen(eq=False, repr=False)
class Keys:
    """Shows and changes keys. Every method raises SecretsRefused when a file is unusable, and StoreUnavailable.

    Attributes:
        files: the secrets directory.
        workers: the registry of workers.
        next_root_accepted: asks the registry; None when it cannot be asked.
        longest_token: the longest life of a token.
        clock: the wall clock, since waiting takes time.
    """

    files: KeyFiles
    workers: WorkerRegistry
    next_root_accepted: Callable[[], Awaitable[bool | None]]
    longest_token: timedelta
    clock: Callable[[], datetime]

    @permitted(Permission.KEYS_SHOW)
    async def show(self, actor: Actor) -> KeysShown:
        """Return every key."""
        workers = await self.workers.list()
        return KeysShown(self.files.roots(), [*await self.files.license_keys()], workers)

    @permitted(Permission.KEYS_ROTATE)
    async def rotate(self, operation: Operation) -> Rotation:
        """Give every worker of every server a fresh signing certificate now."""
        return await self._call(operation.entry("keys.rotated"))

    @permitted(Permission.KEYS_ROTATE_LICENSE_KEY)
    async def rotate_license_key(self, operation: Operation) -> tuple[str, Rotation]:
        """Sign license files with a new key; the old public key stays published. Return its ``kid``.

        Raises:
            Conflict: another process is changing keys.
        """
        kid = await self.files.rotate_license_key()
        return kid, await self._call(operation.entry("keys.license_rotated", kid=kid))

    @permitted(Permission.KEYS_ROTATE_SEALING_KEY)
    async def rotate_sealing_key(self, operation: Operation) -> tuple[str, Rotation]:
        """Seal secrets under a new key; what was sealed before can still be unsealed. Return its name.

        Raises:
            Conflict: another process is changing keys.
        """
        key = await self.files.rotate_sealing_key()
        return key, await self._call(operation.entry("keys.sealing_rotated", key=key))

    @permitted(Permission.KEYS_PREPARE_ROOT)
    async def prepare_root(self, operation: Operation) -> tuple[str, Rotation]:
        """Make the next root and add it to the bundle; return its fingerprint.

        Raises:
            Conflict: another process is changing keys.
        """
        made = self.files.prepare_root(operation.now)
        return made, await self._call(operation.entry("keys.root_prepared", root=made))

    @permitted(Permission.KEYS_SWITCH_ROOT)
    async def switch_root(self, operation: Operation, *, force: bool) -> tuple[str, Rotation]:
        """Sign under the prepared root from now on; return its fingerprint.

        Raises:
            Conflict: none is prepared, or the registry does not accept it yet, or cannot be asked and not ``force``.
        """
        if not any(root.state == "prepared" for root in self.files.roots()):
            raise Conflict("no next root is prepared", code="next_root_missing")
        accepted = await self.next_root_accepted()
        if accepted is False:
            raise Conflict(
                "the registry does not accept the next root yet; restart it, every replica, and try again",
                code="next_root_not_accepted",
            )
        if accepted is None and not force:
            raise Conflict(
                "the registry could not be asked whether it accepts the next root", code="next_root_unconfirmed"
            )
        root = self.files.switch_root()
        return root, await self._call(operation.entry("keys.root_switched", root=root))

    @permitted(Permission.KEYS_DROP_OLD_ROOTS)
    async def drop_old_roots(self, operation: Operation, *, force: bool) -> tuple[list[str], Rotation]:
        """Take old roots out of the bundle; return their fingerprints.

        Raises:
            Conflict: a worker still signs under one, or tokens signed under one may still live, and not ``force``.
            InputRefused: there is none.
        """
        roots = self.files.roots()
        used = {root.fingerprint for root in roots if root.state == "in use"}
        if not any(root.state == "old" for root in roots):
            raise InputRefused("there is no old root in the bundle", code="old_root_missing", field=None)
        for worker in await self.workers.list():
            if force:
                break
            if worker.root not in used:
                raise Conflict(f"the worker {worker.id} still signs under an old root", code="old_root_in_use")
            living = worker.leaf_made_at + self.longest_token + REGISTRY_LEEWAY
            if self.clock() < living:
                raise Conflict(
                    "tokens signed under the old root may still be in use; wait until "
                    f"{living:%Y-%m-%d %H:%M:%S} UTC, then repeat this",
                    code="old_tokens_in_use",
                )
        dropped = self.files.drop_old_roots()
        return dropped, await self._call(operation.entry("keys.roots_dropped", roots=dropped))

    async def _call(self, entry: Entry) -> Rotation:
        """Request every worker to renew, and wait until all have done so or it takes too long."""
        before = await self.workers.list()
        known = {worker.id for worker in before}
        # Higher than any number that a worker has followed, even when Redis was restored and knows of fewer requests:
        # then every worker at this number or beyond has renewed, even if there was another request meanwhile.
        number = await self.workers.request_renewal(entry, max((worker.generation for worker in before), default=0))
        deadline = self.clock() + FOLLOWED_WITHIN
        while True:
            present = await self.workers.list()
            missed = [worker for worker in present if worker.generation < number]
            if not missed or self.clock() >= deadline:
                break
            await asyncio.sleep(LOOK)
        reached = [worker for worker in present if worker.generation >= number]
        gone = sorted(known - {worker.id for worker in present})
        return Rotation(reached, missed, gone, await self._elsewhere(reached))

    async def _elsewhere(self, workers: Sequence[WorkerStatus]) -> list[str]:
        """Return the workers whose keys are not those of this secrets directory."""
        used = {root.fingerprint for root in self.files.roots() if root.state != "old"}
        published = tuple(await self.files.license_keys())
        return [w.id for w in workers if w.root not in used or w.license_keys != published]
