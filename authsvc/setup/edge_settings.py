"""What nginx lets through: how much one request may upload, and in front of which proxies it stands."""

from collections.abc import Mapping

from attrs import frozen

from authsvc.setting_values import DEFAULT_UPLOAD_SIZE, parse_size

UPLOAD_SIZE = "AUTHSVC_UPLOAD_SIZE"


@frozen
class EdgeLimits:
    """The limits of nginx.

    Attributes:
        upload_size: MiB that one request may upload to the registry.
    """

    upload_size: int = DEFAULT_UPLOAD_SIZE


def edge_limits_of(environ: Mapping[str, str]) -> EdgeLimits:
    """Return what the environment says.

    Raises:
        SetupRefused: a value is not acceptable.
    """
    size = environ.get(UPLOAD_SIZE)
    return EdgeLimits(DEFAULT_UPLOAD_SIZE if size is None else parse_size(size, UPLOAD_SIZE))
