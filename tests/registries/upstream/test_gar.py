"""Google's registries: the key file is the password of a fixed name, at the token server that the challenge names.

https://cloud.google.com/artifact-registry/docs/docker/authentication#json-key
"""

import base64
import json

import pytest

from authsvc.errors import UpstreamRefused
from authsvc.redaction import Secret
from authsvc.upstreams.terms import LinkTerms
from tests.support.oci import Image
from tests.support.upstream_links import make_link, origin_of, upstream_client
from tests.support.upstream_stub import StubUpstream
from tests.support.upstream_tls import UpstreamAuthority

KEY_FILE = json.dumps(
    {
        "type": "service_account",
        "project_id": "acme-prod",
        "private_key_id": "0f1e2d",
        "private_key": "-----BEGIN PRIVATE KEY-----\nMIIEvQ:IBADANBg\n-----END PRIVATE KEY-----\n",
        "client_email": "pull@acme-prod.iam.gserviceaccount.com",
    },
    indent=2,
)
ENCODED = base64.b64encode(KEY_FILE.encode()).decode()
REPOSITORY = "acme-prod/images/api"
IMAGE = Image(b"of Google")


@pytest.mark.parametrize(("provider", "url"), [("gar", "https://europe-west1-docker.pkg.dev"), ("gcr", None)])
@pytest.mark.parametrize(("name", "secret"), [("_json_key", KEY_FILE), ("_json_key_base64", ENCODED)])
async def test_a_key_file_opens_it(
    stub: StubUpstream, authority: UpstreamAuthority, provider: str, url: str | None, name: str, secret: str
) -> None:
    """One request to the token server, for one repository, with the file byte for byte; the registry sees the token."""
    stub.auth, stub.users = "bearer", {name: secret}
    stub.put(REPOSITORY, "1.0", IMAGE)
    terms = LinkTerms.parse(provider, url, None, Secret(secret), ("acme-prod/**",), ())
    assert terms.credential is not None
    link = make_link(origin_of(stub), username=terms.credential.username, sealed_secret="sealed")
    async with upstream_client(authority, secrets={("up-1", 1): terms.credential.secret.reveal()}) as client:
        assert (await client.get_manifest(link, REPOSITORY, "1.0")).content == IMAGE.manifest

    (asked,) = stub.asked("/token")
    assert (asked.method, asked.query) == ("GET", {"service": ["stub"], "scope": [f"repository:{REPOSITORY}:pull"]})
    scheme, _, shown = (asked.authorization or "").partition(" ")
    assert (scheme, base64.b64decode(shown).decode()) == ("Basic", f"{name}:{secret}")
    others = {(one.authorization or "none").partition(" ")[0] for one in stub.seen if one.path != "/token"}
    assert others == {"none", "Bearer"}


async def test_a_key_that_was_deleted(stub: StubUpstream, authority: UpstreamAuthority) -> None:
    """It is refused as any credential, and no part of the file is in the sentence."""
    stub.auth, stub.users = "bearer", {"_json_key": "another"}
    link = make_link(origin_of(stub), username="_json_key", sealed_secret="sealed")
    async with upstream_client(authority, secrets={("up-1", 1): KEY_FILE}) as client:
        with pytest.raises(UpstreamRefused) as refused:
            await client.get_manifest(link, REPOSITORY, "1.0")

    assert (refused.value.credential, refused.value.status) == (True, 401)
    assert "PRIVATE KEY" not in f"{refused.value} {refused.value.detail}"
