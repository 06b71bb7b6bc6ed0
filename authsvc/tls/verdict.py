"""Describes in one sentence whether clients accept the certificate that they see."""

import enum
from datetime import datetime, timedelta

from attrs import frozen

from authsvc.counts import counted
from authsvc.tls.certificate import SeenCertificate

SOON = timedelta(days=14)
"""Certificates are renewed long before; one that ends so soon is not going to be."""

DATE = "%Y-%m-%d %H:%M UTC"

NOT_BEGUN, ENDED, OTHER_HOST, OTHER_ADDRESS = 9, 10, 62, 64
"""OpenSSL's numbers, X509_V_ERR_…."""


class CertificateStatus(enum.Enum):
    """The state of a certificate, as in ``/readyz``."""

    NOT_CONFIGURED = "not configured"
    """Its address is not configured."""
    UNKNOWN = "unknown"
    """It could not be read."""
    OK = "ok"
    ENDS_SOON = "ends soon"
    WRONG = "wrong"
    """Every client refuses it."""


@frozen
class CertificateVerdict:
    """The state of a certificate, and its reason.

    Attributes:
        status: in a word.
        detail: a sentence; None when there is no problem.
    """

    status: CertificateStatus
    detail: str | None = None


def judge(seen: SeenCertificate, host: str, now: datetime) -> CertificateVerdict:
    """Return whether clients accept a certificate that should be for ``host``.

    An authority that is unknown to this machine is not a problem: clients may be configured to trust it.
    """
    ends = f"it ends on {seen.ends:{DATE}}"
    for_others = f"it is for {', '.join(seen.names)[:200]} and not for {host}"
    its_chain = "a certificate of its chain"
    faults = {
        OTHER_HOST: for_others,
        OTHER_ADDRESS: for_others,
        ENDED: f"it ended on {seen.ends:{DATE}}" if seen.ends <= now else f"{its_chain} has ended",
        NOT_BEGUN: f"it begins on {seen.begins:{DATE}}" if seen.begins > now else f"{its_chain} has not begun",
    }
    fault = faults.get(seen.own_error) or faults.get(seen.error)
    if not fault and seen.own_error:
        fault = f"it is not one that a server can show ({seen.own_detail})"
    if fault:
        return CertificateVerdict(
            CertificateStatus.WRONG, f"{fault}, so every client refuses it; put another one in its place"
        )
    if seen.ends - now < SOON:
        days = max(0, (seen.ends - now).days)
        left = f"in {counted(days, 'day')}" if days else "within a day"
        return CertificateVerdict(
            CertificateStatus.ENDS_SOON, f"{ends}, {left}; renew it, or see why it is not renewed"
        )
    if seen.error:
        return CertificateVerdict(
            CertificateStatus.OK,
            f"no authority that authsvc trusts has signed it ({seen.detail}): if its authority is not a private one, "
            "which clients are told to trust, the file lacks intermediate certificates",
        )
    return CertificateVerdict(CertificateStatus.OK)
