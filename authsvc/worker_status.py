"""The status that a worker publishes: its certificate and the keys it uses."""

from datetime import datetime, timedelta

from attrs import frozen

DATA_VERSION = 1
"""Which derived data a worker of this version writes beside records: 0 none, 1 the entries of the ordered indexes."""

SEEN_WITHIN = timedelta(seconds=30)
"""A worker without a heartbeat for this long counts as gone."""


@frozen
class WorkerStatus:
    """The last heartbeat of one worker.

    Attributes:
        id: host, process id and a random part.
        generation: number of the newest requested renewal that it has carried out.
        leaf_serial: serial number of its signing certificate, hexadecimal.
        leaf_made_at: when that certificate was installed.
        leaf_until: when that certificate ends.
        root: SHA-256 of the root certificate that it chains to, hexadecimal.
        license_keys: ``kid`` of each public key that it publishes.
        seen_at: time of the heartbeat.
        data_version: :data:`DATA_VERSION` of the worker's authsvc.
    """

    id: str
    generation: int
    leaf_serial: str
    leaf_made_at: datetime
    leaf_until: datetime
    root: str
    license_keys: tuple[str, ...]
    seen_at: datetime
    data_version: int = 0
