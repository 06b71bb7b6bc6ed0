"""The sockets on which a server listens, opened by one process and inherited by others."""

import socket

from attrs import frozen


@frozen
class ListeningSockets:
    """Bound sockets.

    Attributes:
        edge: for nginx, or for measuring if nginx uses ``edge_socket``.
        inside: for the registry's events; also for health and metrics, unless there is ``inside_socket``.
        edge_socket: a unix socket only for nginx, which states the client's address.
        inside_socket: a unix socket for health and metrics.
    """

    edge: socket.socket
    inside: socket.socket
    edge_socket: socket.socket | None = None
    inside_socket: socket.socket | None = None

    @property
    def health_address(self) -> str:
        """Address of health and metrics on this machine: ``HOST:PORT``, or ``unix:`` and a path."""
        name = (self.inside_socket or self.inside).getsockname()
        if isinstance(name, str):
            return f"unix:{name}"
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name[0], name[0])  # noqa: S104  compared, not bound
        return f"[{host}]:{name[1]}" if ":" in host else f"{host}:{name[1]}"

    @property
    def descriptors(self) -> tuple[int, int, int | None, int | None]:
        """Their numbers; None for a missing one."""
        edge, inside = self.edge_socket, self.inside_socket
        return (
            self.edge.fileno(),
            self.inside.fileno(),
            None if edge is None else edge.fileno(),
            None if inside is None else inside.fileno(),
        )
