"""Where a request comes from, as far as the throttle cares."""

from attrs import frozen


@frozen
class Origin:
    """The sender of a request.

    Attributes:
        network: the address, or its /64 (:func:`authsvc.throttle.network`).
        method: ``GET`` or ``POST``.
    """

    network: str = "unknown"
    method: str = "GET"
