"""Checks the certificate that clients see every minute."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from authsvc.tls.certificate import SeenCertificate, TlsServer, client_context, see_certificate
from authsvc.tls.verdict import CertificateStatus, CertificateVerdict, judge

LOOK_EVERY, LOOK_AGAIN = 60.0, 10.0
"""Seconds between two checks, and after a failed one."""

DEADLINE = 5.0
"""Seconds for one handshake; a check takes two or three."""

FAILURES = 30
"""How many checks in a row may fail before that is reported: at a start, nginx starts after authsvc."""

_NOT_CONFIGURED = CertificateVerdict(CertificateStatus.NOT_CONFIGURED)


class CertificateWatch:
    """Watches the certificate of one server, or of none."""

    def __init__(
        self,
        server: TlsServer | None,
        clock: Callable[[], datetime],
        on_change: Callable[["CertificateWatch"], None] = lambda _: None,
    ) -> None:
        """Watch ``server``.

        Args:
            server: whose certificate is checked; None when it is not configured.
            clock: the wall clock.
            on_change: is called when the status changes in a way that must be reported.
        """
        unknown = CertificateVerdict(CertificateStatus.UNKNOWN, "it has not been checked yet")
        self.verdict = unknown if server else _NOT_CONFIGURED
        self.seen: SeenCertificate | None = None
        """The result of the last check; None when that failed."""
        self._server = server
        self._clock = clock
        self._on_change = on_change
        self._reported = CertificateStatus.OK
        self._failures = 0

    def facts(self) -> Mapping[str, str | None]:
        """Return the result of the last check, for ``/readyz``."""
        return {
            "status": self.verdict.status.value,
            "not_after": self.seen.ends.isoformat() if self.seen else None,
            "detail": self.verdict.detail,
        }

    async def look(self) -> None:
        """Check once, and report a change."""
        if self._server is None:
            return
        try:
            # Made for each check, because the authorities of the system may change, and in a thread, because that takes
            # a while.
            trusting = await asyncio.to_thread(client_context)
            self.seen = await see_certificate(self._server, trusting, DEADLINE)
        except (OSError, ValueError) as error:
            self.seen = None
            reason = str(error) or "no answer in time"
            where = f"{self._server.host}:{self._server.port}"
            self.verdict = CertificateVerdict(
                CertificateStatus.UNKNOWN, f"there was no certificate to see at {where}: {reason}"[:300]
            )
            self._failures += 1
        else:
            self.verdict = judge(self.seen, self._server.name, self._clock())
            self._failures = 0
        self._report()

    async def keep_looking(self, after_look: Callable[[], None] = lambda: None) -> None:
        """Check every minute until cancelled."""
        while self._server is not None:
            await self.look()
            after_look()
            await asyncio.sleep(LOOK_EVERY if self.seen else LOOK_AGAIN)

    def _report(self) -> None:
        status = self.verdict.status
        if status is self._reported or 0 < self._failures < FAILURES:
            return
        self._reported = status
        self._on_change(self)
