"""No vendor reaches another's images, and no app's customer those of another app: on the registry's own disk."""

from collections.abc import Callable, Mapping
from urllib.parse import quote

import pytest
from attrs import field, frozen

from tests.flows.conftest import ATTACKERS, World
from tests.support.forgery import forge
from tests.support.http_client import Reply, ask, claims_of
from tests.support.oci import INDEX, MANIFEST, Image, digest_of, index_of, manifest_of
from tests.support.registry_client import Client, TokenRefused
from tests.support.storage import repositories_with

WRITERS = ATTACKERS[:2]
READERS = ATTACKERS[2:]


@frozen
class Attack:
    """One request.

    Attributes:
        method: HTTP method.
        target: takes the repository with the product, the attacker's own, and the product's image.
        status: what a writer gets in the end; a reader gets 401 wherever the request would write.
        media_type: of the body.
        body: takes the product's image.
    """

    method: str
    target: Callable[[str, str, Image], str]
    status: int = 401
    media_type: str = "application/octet-stream"
    body: Callable[[Image], bytes] = field(default=lambda _: b"")


def by_digest(image: Image) -> str:
    """Return the digest of the secret layer."""
    return digest_of(image.layer)


ATTACKS: Mapping[str, Attack] = {
    "mount the layer": Attack(
        "POST", lambda product, own, i: f"/v2/{own}/blobs/uploads/?mount={by_digest(i)}&from={product}"
    ),
    "mount the manifest": Attack(
        "POST", lambda product, own, i: f"/v2/{own}/blobs/uploads/?mount={i.digest}&from={product}"
    ),
    "mount into another repository": Attack(
        "POST", lambda product, own, i: f"/v2/{product}/blobs/uploads/?mount={by_digest(i)}&from={own}"
    ),
    "get the layer": Attack("GET", lambda product, _, i: f"/v2/{product}/blobs/{by_digest(i)}"),
    "head the layer": Attack("HEAD", lambda product, _, i: f"/v2/{product}/blobs/{by_digest(i)}"),
    "get the layer through the own repository": Attack(
        "GET", lambda _, own, i: f"/v2/{own}/blobs/{by_digest(i)}", status=404
    ),
    "head the layer through the own repository": Attack(
        "HEAD", lambda _, own, i: f"/v2/{own}/blobs/{by_digest(i)}", status=404
    ),
    "get the manifest": Attack("GET", lambda product, _, __: f"/v2/{product}/manifests/1"),
    "head the manifest": Attack("HEAD", lambda product, _, i: f"/v2/{product}/manifests/{i.digest}"),
    "get the manifest through the own repository": Attack(
        "GET", lambda _, own, i: f"/v2/{own}/manifests/{i.digest}", status=404
    ),
    "own a manifest that names the layer": Attack(
        "PUT",
        lambda _, own, __: f"/v2/{own}/manifests/stolen",
        status=400,
        media_type=MANIFEST,
        body=lambda i: manifest_of(i.config, i.layer),
    ),
    "own an index that names the manifest": Attack(
        "PUT",
        lambda _, own, __: f"/v2/{own}/manifests/stolen",
        status=400,
        media_type=INDEX,
        body=lambda i: index_of(i.manifest),
    ),
    "list the catalog": Attack("GET", lambda _, __, ___: "/v2/_catalog"),
    "list the tags": Attack("GET", lambda product, _, __: f"/v2/{product}/tags/list"),
    "delete the manifest": Attack("DELETE", lambda product, _, i: f"/v2/{product}/manifests/{i.digest}"),
    "delete the tag": Attack("DELETE", lambda product, _, __: f"/v2/{product}/manifests/1"),
    "delete the layer": Attack("DELETE", lambda product, _, i: f"/v2/{product}/blobs/{by_digest(i)}"),
    "begin an upload there": Attack("POST", lambda product, _, __: f"/v2/{product}/blobs/uploads/"),
    "upload there at once": Attack(
        "POST", lambda product, _, i: f"/v2/{product}/blobs/uploads/?digest={by_digest(i)}", body=lambda i: i.layer
    ),
    "overwrite the tag": Attack(
        "PUT", lambda product, _, __: f"/v2/{product}/manifests/1", media_type=MANIFEST, body=lambda i: i.manifest
    ),
}

WRITES = {"POST", "PUT", "PATCH", "DELETE"}


def carry_out(attack: Attack, client: Client, product: str, own: str, image: Image) -> Reply:
    """Send the request as a client would: with whatever token the challenge leads to."""
    target, body = attack.target(product, own, image), attack.body(image)
    try:
        return client.ask(attack.method, target, headers={"Content-Type": attack.media_type}, body=body)
    except TokenRefused as refusal:
        return refusal.reply


def refuse(reply: Reply, status: int, image: Image) -> None:
    """Check that ``reply`` gives nothing away."""
    assert reply.status == status, reply
    for secret in (image.layer, image.manifest, image.config):
        assert secret not in reply.body


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("attacker", ATTACKERS)
def test_the_neighbour_gets_nothing(world: World, attacker: str, attack: str) -> None:
    """The request is refused, and the image stays where it is and nowhere else."""
    wanted = ATTACKS[attack]
    status = 401 if attacker == "nobody" or (attacker in READERS and wanted.method in WRITES) else wanted.status
    before = repositories_with(world.stack, world.image.digests)  # tests of other files push it within the vault, too
    reply = carry_out(wanted, world.client(attacker), world.product, world.own(attacker), world.image)
    refuse(reply, status, world.image)
    assert world.product in before
    assert repositories_with(world.stack, world.image.digests) == before


@pytest.mark.parametrize("attacker", WRITERS)
def test_an_upload_does_not_move_house(world: World, attacker: str) -> None:
    """An upload begun in the attacker's own repository cannot be continued or ended in another."""
    client, own = world.client(attacker), world.own(attacker)
    begun = client.ask("POST", f"/v2/{own}/blobs/uploads/")
    assert begun.status == 202
    moved = begun.headers["location"].replace(f"/v2/{own}/", f"/v2/{world.product}/")
    assert world.product in moved
    content = b"an implant"
    for method, target in (("PATCH", moved), ("PUT", f"{moved}&digest={digest_of(content)}"), ("GET", moved)):
        refuse(client.ask(method, target, body=content if method != "GET" else b""), 401, world.image)
    assert repositories_with(world.stack, {digest_of(content)}) == set()


TWIN = str.maketrans({"a": "\u0430", "v": "\uff56"})
"""A Cyrillic and a full-width letter."""


@pytest.mark.parametrize("attacker", ATTACKERS[:4])
@pytest.mark.parametrize(
    "name",
    [
        "{vault}/product",
        "{own}/../../{vault}/product",
        "{own_app}/../{vault}/product",
        "{vault}/../{own}",
        "{vault}/./product",
        "./{vault}/product",
        "/{vault}/product",
        "{vault}//product",
        "{vault}/product/",
        "{upper}/product",
        "{capital}/product",
        "{twin}/product",
        "{vault}\u200b/product",
        "{vault}%2fproduct",
        "{registry}/{vault}/product",
        "{vault}:443/product",
        "{vault}.",
        "{vault}",
        "{shorter}/product",
        "{vault}*/product",
        "*",
        "proxy/{vault}/product/x",
        "{vault}/product:{own}",
        "{own}\n{vault}/product",
    ],
)
def test_a_name_that_looks_alike_is_another_name(world: World, attacker: str, name: str) -> None:
    """A token asked for under a bent name grants nothing, and opens nothing at the registry either."""
    client, own = world.client(attacker), world.own(attacker)
    before = repositories_with(world.stack, world.image.digests)
    asked = name.format(
        vault=world.vault,
        own=own,
        own_app=own.partition("/")[0],
        upper=world.vault.upper(),
        capital=world.vault.capitalize(),
        twin=world.vault.translate(TWIN),
        shorter=world.vault[:-1],
        registry=world.stack.name,
    )
    token = client.token(f"repository:{asked}:pull,push,delete,*")
    assert claims_of(token)["access"] == []
    for path in (asked, world.product):
        target = f"/v2/{quote(path, safe='/%:*')}/manifests/1"
        reply = ask(world.stack.port, "GET", target, headers={"Authorization": f"Bearer {token}"})
        assert reply.status in {301, 400, 401, 404}, reply
        assert world.image.manifest not in reply.body
    assert repositories_with(world.stack, world.image.digests) == before


def test_twins_of_a_slug_can_not_be_made(world: World) -> None:
    """No second app can be named so that people or programs mistake it for the first."""
    twins = {
        world.vault: "exists already",
        world.vault.upper(): "cannot name an app",
        world.vault.translate(TWIN): "cannot name an app",
        f"{world.vault}/../{world.annex}": "cannot name an app",
        f"{world.vault}\n": "cannot name an app",
        f"{world.vault}\u200b": "cannot name an app",
    }
    for twin, why in twins.items():
        ran = world.stack.authsvc("app", "create", twin, "--team", world.rivals, check=False)
        assert (ran.code, len(ran.err.splitlines())) == (1, 1), twin
        assert why in ran.err


def test_those_who_may_do(world: World) -> None:
    """The same requests are granted to the owner and, to read, to the customer: the refusals are about who asks."""
    owner, customer = Client(world.stack.port, world.owner), Client(world.stack.port, world.customer.account)
    for client in (owner, customer):
        client.pull(world.product, "1", world.image)
        assert client.ask("GET", f"/v2/{world.product}/tags/list").json()["tags"] == ["1"]
    scratch = Image(b"scratch")
    owner.push(f"{world.vault}/scratch", "1", scratch)
    mounted = owner.ask(
        "POST", f"/v2/{world.annex}/scratch/blobs/uploads/?mount={by_digest(scratch)}&from={world.vault}/scratch"
    )
    assert mounted.status == 201
    deleted = owner.ask("DELETE", f"/v2/{world.vault}/scratch/manifests/{scratch.digest}")
    assert deleted.status == 202
    assert customer.ask("DELETE", f"/v2/{world.product}/manifests/{world.image.digest}").status == 401
    assert customer.put_manifest(world.product, "evil", world.image.manifest).status == 401


def test_the_checks_would_see_a_leak(world: World) -> None:
    """With a token that grants too much, signed under the same root, the same attack succeeds and is noticed."""
    bait = Image(b"bait")
    source, own = f"{world.vault}/bait", f"{world.evil}/stolen"
    Client(world.stack.port, world.owner).push(source, "1", bait)
    token = forge(world.stack, {source: ["pull"], own: ["pull", "push"]})
    attack = ATTACKS["mount the layer"]
    reply = ask(
        world.stack.port,
        attack.method,
        attack.target(source, own, bait),
        headers={"Authorization": f"Bearer {token}"},
    )
    with pytest.raises(AssertionError):
        refuse(reply, attack.status, bait)
    assert repositories_with(world.stack, bait.digests) == {source, own}
