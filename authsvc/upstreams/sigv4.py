"""Signs requests to Amazon's interfaces (AWS Signature Version 4), for the only request that authsvc makes.

botocore implements the general scheme, but takes 30 MiB of each worker; a request with a fixed form needs one page of
code. The tests compare it with signatures that botocore made.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime

from attrs import field, frozen

from authsvc.redaction import Secret

ALGORITHM = "AWS4-HMAC-SHA256"


@frozen
class AwsKey:
    """An access key.

    Attributes:
        id: access key id, not secret.
        secret: secret access key.
    """

    id: str
    secret: Secret = field(repr=False)


def signed_headers(
    key: AwsKey, host: str, region: str, service: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> dict[str, str]:
    """Return the headers of ``POST https://HOST/``, with its signature.

    Args:
        key: to sign with.
        host: without a port.
        region: of the service.
        service: its name in signatures.
        headers: others, with names in lower case and values without blanks at their ends.
        body: as sent.
        now: the current time, aware; Amazon accepts 5 minutes of difference.
    """
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    all_headers = {**headers, "host": host, "x-amz-date": stamp}
    names = ";".join(sorted(all_headers))
    lines = "".join(f"{name}:{all_headers[name]}\n" for name in sorted(all_headers))
    canonical = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    text = f"{ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signing_key = f"AWS4{key.secret.reveal()}".encode()
    for part in (stamp[:8], region, service, "aws4_request"):
        signing_key = hmac.digest(signing_key, part.encode(), hashlib.sha256)
    signature = hmac.new(signing_key, text.encode(), hashlib.sha256).hexdigest()
    return {
        **headers,
        "x-amz-date": stamp,
        "authorization": f"{ALGORITHM} Credential={key.id}/{scope}, SignedHeaders={names}, Signature={signature}",
    }
