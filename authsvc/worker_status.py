"""What a worker says about itself and the keys it uses."""

from datetime import datetime, timedelta

from attrs import frozen

SEEN_WITHIN = timedelta(seconds=20)
"""After this silence a worker counts as gone."""


@frozen
class WorkerStatus:
    """One worker's last word.

    Attributes:
        id: host, process id and a random part.
        generation: the newest call to rotate that it has followed.
        leaf_serial: serial number of its signing certificate, hexadecimal.
        leaf_made_at: when that was installed.
        leaf_until: when it ends.
        root: SHA-256 of the root certificate that it chains to, hexadecimal.
        license_keys: ``kid`` of each public key that it publishes.
        seen_at: when it said so.
    """

    id: str
    generation: int
    leaf_serial: str
    leaf_made_at: datetime
    leaf_until: datetime
    root: str
    license_keys: tuple[str, ...]
    seen_at: datetime
