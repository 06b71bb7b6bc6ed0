"""What is wrong with the certificate of a server."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from authsvc.counts import counted
from authsvc.doctor.outside_replies import SeenCertificate

SOON = timedelta(days=14)
"""Certificates are renewed long before; one that ends so soon is not going to be."""

_DATE = "%Y-%m-%d %H:%M UTC"

_BY_ERROR = {
    2: "tls-chain-incomplete",
    9: "tls-not-yet-valid",
    10: "tls-expired",
    20: "tls-chain-incomplete",
    21: "tls-chain-incomplete",
    62: "tls-wrong-host",
    64: "tls-wrong-host",
}
"""Findings by OpenSSL's numbers (X509_V_ERR_…); every other one means that the authority is not trusted."""


def diagnose_certificate(seen: SeenCertificate, now: datetime) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the findings, each with its facts."""
    days = max(0, (seen.ends - now).days)
    facts: dict[str, object] = {
        "names": ", ".join(seen.names),
        "issuer": seen.issuer,
        "begins": f"{seen.begins:{_DATE}}",
        "ends": f"{seen.ends:{_DATE}}",
        "left": f"in {counted(days, 'day')}" if days else "within a day",
        "detail": seen.detail,
    }
    if seen.error:
        yield _BY_ERROR.get(seen.error, "tls-untrusted"), facts
    elif seen.ends - now < SOON:
        yield "tls-ends-soon", facts
    if seen.protocol == "h2":
        yield "http2-offered", facts
