"""The watch of the certificate that clients see."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from authsvc.logs import Logger
from authsvc.metrics.catalogue import TLS_EXPIRY, TLS_WRONG
from authsvc.metrics.shared_metrics import Slot
from authsvc.processes.waiting import ended
from authsvc.settings import Settings
from authsvc.tls.certificate import TlsServer
from authsvc.tls.verdict import CertificateStatus
from authsvc.tls.watch import CertificateWatch
from authsvc.wiring import clock


@asynccontextmanager
async def watched_certificate(settings: Settings, logger: Logger, slot: Slot) -> AsyncIterator[CertificateWatch]:
    """Yield the watch of the certificate at the configured address, or None without one."""
    server = None
    if settings.tls_endpoint is not None:
        server = TlsServer(*settings.tls_endpoint, settings.public_url.host.strip("[]"))

    def changed(watch: CertificateWatch) -> None:
        log = logger.info if watch.verdict.status is CertificateStatus.OK else logger.warning
        log("tls.certificate", **watch.facts())

    def count() -> None:
        if watch.seen is not None:  # unknown values are not changed
            slot.set(TLS_EXPIRY, int(watch.seen.ends.timestamp()))
            slot.set(TLS_WRONG, int(watch.verdict.status is CertificateStatus.WRONG))

    watch = CertificateWatch(server, clock, changed)
    looking = asyncio.create_task(watch.keep_looking(count))
    try:
        yield watch
    finally:
        await ended(looking)
