"""Rules for problems with the certificate of a server."""

from collections.abc import Iterator
from datetime import datetime

from authsvc.counts import counted
from authsvc.tls.certificate import SeenCertificate
from authsvc.tls.verdict import DATE, SOON

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
        "begins": f"{seen.begins:{DATE}}",
        "ends": f"{seen.ends:{DATE}}",
        "left": f"in {counted(days, 'day')}" if days else "within a day",
        "detail": seen.detail,
    }
    if seen.error:
        yield _BY_ERROR.get(seen.error, "tls-untrusted"), facts
    elif seen.ends - now < SOON:
        yield "tls-ends-soon", facts
    if seen.protocol == "h2":
        yield "http2-offered", facts
