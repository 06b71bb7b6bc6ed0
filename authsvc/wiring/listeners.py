"""The listeners of a worker: routes on sockets, inside the middleware."""

import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web
from attrs import field, frozen

from authsvc.logs import Logger
from authsvc.metrics.catalogue import EDGE, INSIDE
from authsvc.metrics.shared_metrics import Slot
from authsvc.processes.listening_sockets import ListeningSockets
from authsvc.settings import Settings
from authsvc.web.client import ClientReader
from authsvc.web.listener import Drain, Listener, make_web_app
from authsvc.web.metrics import count_status
from authsvc.web.middleware import around


@frozen
class ServedRoutes:
    """The routes of one listener.

    Attributes:
        name: of the listener.
        routes: of the listener itself.
        bound: the sockets.
        applications: further applications by the prefix of their paths.
    """

    name: str
    routes: Iterable[web.AbstractRouteDef]
    bound: Sequence[socket.socket]
    applications: Mapping[str, web.Application] = field(factory=dict)


def served_routes(
    sockets: ListeningSockets,
    edge: Iterable[web.AbstractRouteDef],
    applications: Mapping[str, web.Application],
    status: Iterable[web.AbstractRouteDef],
    events: Iterable[web.AbstractRouteDef],
) -> tuple[ServedRoutes, ...]:
    """Return the routes of each socket: health and metrics are not on a port when they have a separate socket."""
    public = [sockets.edge] if sockets.edge_socket is None else [sockets.edge, sockets.edge_socket]
    served = ServedRoutes(EDGE, edge, public, applications)
    if sockets.inside_socket is None:
        return served, ServedRoutes(INSIDE, [*status, *events], [sockets.inside])
    return (
        served,
        ServedRoutes(INSIDE, events, [sockets.inside]),
        ServedRoutes(INSIDE, status, [sockets.inside_socket]),
    )


@asynccontextmanager
async def listeners(
    settings: Settings, served: Iterable[ServedRoutes], new_request_id: Callable[[], str], logger: Logger, slot: Slot
) -> AsyncIterator[Drain]:
    """Serve the routes of each listener on its socket; yield an object that drains them."""
    async with AsyncExitStack() as stack:
        opened: list[Listener] = []
        drain = Drain(opened)
        clients = ClientReader(settings.trusted_proxies, settings.private_clients)
        for one in served:
            seen = (count_status(slot, one.name), drain.mark)
            middleware = around(logger, settings.public_url.authority, new_request_id, clients, seen)
            listener = Listener(make_web_app(one.routes, middleware, one.applications))
            stack.push_async_callback(listener.close)
            opened.append(listener)
            for bound in one.bound:
                await listener.start(bound)
        yield drain
