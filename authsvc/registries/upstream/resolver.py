"""Resolves names of external registries to addresses that may be connected to.

A name is resolved once, every address of the answer is checked, and the connection is made to exactly one of those:
there is no second lookup between check and connection (DNS rebinding). nginx gets the same literal address.

A lookup runs in a thread and cannot be cancelled, so a name server that does not answer occupies a thread for as long
as the system's resolver tries. Each team may use only a few threads, and answers are cached for a few seconds.
"""

import asyncio
import contextlib
import socket
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from attrs import define, field, frozen

from authsvc.errors import InputRefused, Overloaded, UpstreamUnavailable
from authsvc.fair_share import FairShare
from authsvc.in_flight import InFlight
from authsvc.upstreams.addresses import Address, AddressRules, parse_literal, refused_as_own
from authsvc.upstreams.origin import Origin

LOOKUPS, LOOKUPS_OF_A_TEAM, WAITING_LOOKUPS = 12, 2, 64

REMEMBERED_FOR = 10.0
"""Seconds for which the addresses of a name are cached."""

MAX_REMEMBERED = 1024

DEADLINE = 5.0
"""Seconds in which a name must be resolved."""

Lookup = Callable[[str], list[str]]
"""Returns the addresses of a name, and blocks meanwhile; raises OSError when there are none."""


@frozen
class VettedAddress:
    """An address that has passed the rules and may be connected to.

    Attributes:
        literal: the address; IPv6 in brackets.
        port: number.
    """

    literal: str
    port: int

    @property
    def authority(self) -> str:
        """Address and port, as in a URL."""
        return f"{self.literal}:{self.port}"


@frozen
class _Found:
    addresses: tuple[Address, ...]
    until: float


def look_up(name: str) -> list[str]:
    """Return the addresses of ``name``, by the system's resolver."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@define(eq=False, repr=False)
class UpstreamResolver:
    """Resolves and checks. Close it at the end.

    Attributes:
        rules: what is allowed.
        monotonic: seconds of a clock that never goes back.
        lookup: asks the system's resolver.
    """

    rules: AddressRules
    monotonic: Callable[[], float] = field(repr=False)
    lookup: Lookup = field(default=look_up, repr=False)
    deadline: float = DEADLINE
    _threads: ThreadPoolExecutor = field(init=False, repr=False)
    _share: FairShare = field(init=False, repr=False)
    _lookups: InFlight[tuple[str, str], tuple[Address, ...]] = field(init=False, factory=InFlight, repr=False)
    _remembered: OrderedDict[str, _Found] = field(init=False, factory=OrderedDict, repr=False)

    def __attrs_post_init__(self) -> None:
        """Start without threads; each is made when it is needed."""
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="upstream-names")
        self._share = FairShare(LOOKUPS, LOOKUPS_OF_A_TEAM, WAITING_LOOKUPS, "too many names are being resolved")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def addresses(self, origin: Origin, team: str) -> tuple[Address, ...]:
        """Return the addresses of ``origin``, IPv4 first, each of which may be connected to.

        Args:
            origin: to resolve.
            team: that the connection is for.

        Raises:
            UpstreamUnavailable: the name cannot be resolved, or an address is not allowed for upstreams.
        """
        try:
            return await self._checked(origin, await self.look_up(origin, team), team)
        except InputRefused as error:
            raise UpstreamUnavailable(str(error), code="upstream_address_refused") from error

    async def resolve(self, origin: Origin, team: str) -> VettedAddress:
        """Return one address of ``origin`` to connect to; raises the errors of :meth:`addresses`."""
        return vetted((await self.addresses(origin, team))[0], origin.port)

    async def vet_host(self, origin: Origin, team: str) -> None:
        """Check that ``origin`` may be saved as an upstream, like a name that cannot be resolved now.

        Raises:
            InputRefused: its address is in a network where upstreams are not allowed.
        """
        with contextlib.suppress(UpstreamUnavailable):
            await self._checked(origin, await self.look_up(origin, team), team)

    async def _checked(self, origin: Origin, addresses: tuple[Address, ...], team: str) -> tuple[Address, ...]:
        self.rules.check_addresses(origin.host, addresses)
        for host, port in self.rules.services:
            if port == origin.port and set(addresses) & set(await self._service(host, team)):
                raise refused_as_own()
        if origin.scheme != "https" and not all(map(self.rules.is_exception, addresses)):
            raise InputRefused(
                f"{origin.text} is without TLS, which is accepted only inside private networks that the operator of "
                "this installation has excepted; use https://",
                code="upstream_address_refused",
                field="url",
            )
        return tuple(sorted(addresses, key=lambda address: address.version))

    async def _service(self, host: str, team: str) -> tuple[Address, ...]:
        """Return the addresses of one of our services; none when its name cannot be resolved now."""
        literal = parse_literal(host)
        if literal is not None:
            return (literal,)
        with contextlib.suppress(UpstreamUnavailable, Overloaded):
            return await self._found(host, team)
        return ()

    async def look_up(self, origin: Origin, team: str) -> tuple[Address, ...]:
        """Return the addresses of ``origin``, none of which has been checked yet.

        Raises:
            InputRefused: the host is an address, or has a port, that is not allowed for upstreams.
            UpstreamUnavailable: the name cannot be resolved.
            Overloaded: too many names of this team are being resolved.
        """
        literal = self.rules.check_host(origin.host, origin.port)
        return (literal,) if literal is not None else await self._found(origin.host, team)

    async def _found(self, host: str, team: str) -> tuple[Address, ...]:
        remembered = self._remembered.get(host)
        if remembered is not None and self.monotonic() < remembered.until:
            return remembered.addresses
        # Joined within a team: one team's name server cannot make another team wait.
        key = (team, host)
        try:
            async with asyncio.timeout(self.deadline):
                return await self._lookups.ask(key, lambda: asyncio.ensure_future(self._looked_up(host, team)))
        except TimeoutError as error:
            raise UpstreamUnavailable(f"the name {host} was not resolved in time") from error

    async def _looked_up(self, host: str, team: str) -> tuple[Address, ...]:
        async with self._share.slot(team):
            try:
                texts = await asyncio.get_running_loop().run_in_executor(self._threads, self.lookup, host)
            except (OSError, UnicodeError) as error:
                raise UpstreamUnavailable(f"the name {host} cannot be resolved", detail=repr(error)[:200]) from error
        addresses = tuple(parsed for text in texts if (parsed := parse_literal(text)) is not None)
        if not addresses or len(addresses) != len(texts):  # one with a zone is link-local
            raise UpstreamUnavailable(f"the name {host} has no address that can be used")
        self._remembered[host] = _Found(addresses, self.monotonic() + REMEMBERED_FOR)
        self._remembered.move_to_end(host)
        while len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return addresses


def vetted(address: Address, port: int) -> VettedAddress:
    """Return the checked ``address`` as a value to connect to."""
    return VettedAddress(f"[{address}]" if ":" in str(address) else str(address), port)
