"""Where a request comes from, as far as the throttle cares."""

from attrs import frozen


@frozen
class Origin:
    """The sender of a request.

    Attributes:
        network: the address, or its /64 (:func:`authsvc.throttle.network`).
        method: ``GET`` or ``POST``.
        own: whether the network is the client's own. A private address may be that of a proxy which nobody named to
            us; then it stands for everybody behind it, and is never taken for one that an account knows.
    """

    network: str = "unknown"
    method: str = "GET"
    own: bool = True
