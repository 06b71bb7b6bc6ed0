"""Signatures for Amazon, against those that botocore 1.43.11 made (tests/vectors/sigv4.json)."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from authsvc.redaction import Secret
from authsvc.upstreams.sigv4 import AwsKey, signed_headers
from tests.support.vectors import cases

HEADERS = {
    "content-type": "application/x-amz-json-1.1",
    "x-amz-target": "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
}


def authorization(case: dict[str, Any], **other: Any) -> str:
    """Return our signature of a case."""
    one = {**case, **other}
    key = AwsKey(one["key_id"], Secret(one["secret"]))
    at = datetime.fromisoformat(one["at"])
    signed = signed_headers(key, one["host"], one["region"], "ecr", HEADERS, one["body"].encode(), at)
    return signed["authorization"]


@pytest.mark.parametrize("case", cases("sigv4.json", "cases"), ids=lambda case: case["at"])
def test_the_signature_is_botocores(case: dict[str, Any]) -> None:
    """Byte for byte, whatever time zone the clock has."""
    assert authorization(case) == case["authorization"]
    local = datetime.fromisoformat(case["at"]).astimezone(timezone(timedelta(hours=-7)))
    assert authorization(case, at=local.isoformat()) == case["authorization"]


@pytest.mark.parametrize(("name", "value"), [("secret", "x"), ("region", "x"), ("host", "x"), ("body", "x")])
def test_everything_is_signed(name: str, value: str) -> None:
    """Nothing of the request can be changed."""
    case = cases("sigv4.json", "cases")[0]
    signature = case["authorization"].rpartition("=")[2]
    assert signature not in authorization(case, **{name: value})
