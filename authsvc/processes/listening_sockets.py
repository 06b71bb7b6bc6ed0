"""The sockets on which a server listens, opened by one process and inherited by others."""

import socket

from attrs import frozen


@frozen
class ListeningSockets:
    """Bound sockets.

    Attributes:
        edge: for nginx, or where that comes by ``edge_socket``, for measuring.
        inside: for the registry's events; also for health and metrics, unless there is ``inside_socket``.
        edge_socket: a unix socket for nginx alone, which says who the client is.
        inside_socket: a unix socket for health and metrics.
    """

    edge: socket.socket
    inside: socket.socket
    edge_socket: socket.socket | None = None
    inside_socket: socket.socket | None = None

    @property
    def descriptors(self) -> tuple[int, int, int | None, int | None]:
        """Their numbers; None for one that there is not."""
        edge, inside = self.edge_socket, self.inside_socket
        return (
            self.edge.fileno(),
            self.inside.fileno(),
            None if edge is None else edge.fileno(),
            None if inside is None else inside.fileno(),
        )
