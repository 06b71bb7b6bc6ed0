"""The profiles of compose.yaml: garbage collection, metrics, another registry, a bucket, sentinels."""

import json
import os
import re
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.compose.engine import ROOT, Project
from tests.compose.story import EMAIL, Shop, open_shop
from tests.support.stack import PASSWORD
from tests.support.waiting import PATIENCE, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]  # the first one has an engine made, and the image

NAME = "localhost:5000"

ASK_FOR_TOKENS = """
import base64, json, sys, threading, time, urllib.request
address, license_file, ended = sys.argv[1], json.loads(sys.stdin.readline()), threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set())).start()
basic = base64.b64encode(b"license:" + license_file.encode()).decode()
while not ended.is_set():
    asked = time.monotonic()
    try:
        request = urllib.request.Request(address, headers={"Authorization": "Basic " + basic})
        with urllib.request.urlopen(request, timeout=5) as answer:
            status = answer.status
    except Exception as error:
        status = getattr(error, "code", repr(error))
    print(json.dumps([round(asked, 2), round(time.monotonic() - asked, 2), status]), flush=True)
    time.sleep(0.1)
"""
"""Until standard input ends, prints when each request was sent (monotonic clock), how long it took, and its status."""

IN_A_ROW = 30
"""Good answers after which the fail-over is over: three seconds of them, and more."""


@pytest.fixture(scope="module")
def shop(project: Project) -> Shop:
    """Return a shop without profiles; the tests in this file follow each other on its volumes."""
    project.up()
    return open_shop(project, NAME)


def blobs(shop: Shop) -> set[str]:
    """Return the digests of all blobs that the registry stores."""
    folder = "/var/lib/registry/docker/registry/v2/blobs/sha256"
    listed = shop.project.compose("exec", "-T", "registry", "sh", "-c", f"ls {folder}/*").out
    return set(re.findall(r"^[0-9a-f]{64}$", listed, re.MULTILINE))


def delete(shop: Shop, repository: str, digest: str) -> str:
    """Delete a manifest as the vendor; return the answer's head."""
    inside = shop.project.engine.inside
    scope = f"service={NAME}&scope=repository:{repository}:delete"
    token = json.loads(inside("curl", "-s", "-u", f"{EMAIL}:{PASSWORD}", f"http://{NAME}/auth/token?{scope}").out)
    bearer = ("-H", f"Authorization: Bearer {token['token']}")
    return inside("curl", "-si", "-X", "DELETE", *bearer, f"http://{NAME}/v2/{repository}/manifests/{digest}").out


def test_gc_frees_a_deleted_image_and_keeps_the_rest(shop: Shop) -> None:
    """What nothing names any more goes; what something names stays; afterwards the registry writes again."""
    before = blobs(shop)
    shop.login_as_vendor()
    shop.project.engine.make_image("old", b"an old release" * 1000)
    shop.project.engine.docker("tag", "old", f"{NAME}/myapp/old:1", check=True)
    pushed = shop.project.engine.docker("push", f"{NAME}/myapp/old:1", check=True).out
    (digest,) = re.findall(r"digest: (sha256:[0-9a-f]{64})", pushed)
    with_old = blobs(shop)
    assert delete(shop, "myapp/old", digest).startswith("HTTP/1.1 202 ")

    collected = shop.project.compose("run", "--rm", "gc").said
    modes = re.findall(r"registry: (read-\w+)", shop.project.compose("logs", "registry").out)

    assert len(with_old - before) == 3
    assert blobs(shop) == before
    assert "gc: done" in collected
    assert modes[-2:] == ["read-write", "read-only"] or modes[-3:] == ["read-write", "read-only", "read-write"]
    until(lambda: shop.push(f"{NAME}/myapp/worker:1.0.2").code == 0, "the registry writes again")
    shop.login_as_customer()
    shop.still_sells()


def sells_again(shop: Shop) -> None:
    """Wait until a customer pulls: the registry, or Redis, starts again."""
    until(lambda: shop.pull().code == 0, "a customer pulls again")


def test_gc_never_deletes_untagged(shop: Shop) -> None:
    """Registry 2.8 would destroy images of several platforms (distribution#3178); a look is allowed."""
    script = ("run", "--rm", "gc", "sh", "/etc/docker/registry/registry.sh", "gc", "/etc/docker/registry", "gc")
    looked = shop.project.compose(*script, "--dry-run").said
    refused = [shop.project.compose(*script, option, check=False) for option in ("--delete-untagged", "-m")]

    assert "gc: done" in looked
    assert [ran.code for ran in refused] == [2, 2]
    assert all("would destroy images of several platforms" in ran.said for ran in refused)
    sells_again(shop)


def test_a_killed_gc_leaves_no_read_only_registry(shop: Shop) -> None:
    """The registry is read-only exactly as long as somebody holds the lock."""
    shop.login_as_vendor()
    hold = ("flock", "-x", "/var/lib/registry/.gc/lock", "sleep", "120")
    holder = shop.project.compose("run", "--detach", "--rm", "gc", *hold).out.strip()
    image = f"{NAME}/myapp/worker:1.0.3"
    why = "read-only, as it is while garbage is collected"
    until(lambda: why in shop.push(image).said, "the registry refuses to write, and says why")
    shop.still_sells()
    shop.project.engine.docker("kill", holder, check=True)

    until(lambda: shop.push(image).code == 0, "the registry writes again")
    shop.login_as_customer()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"COMPOSE_PROFILES": "s3"}, "the profile s3 needs AUTHSVC_S3_BUCKET and AUTHSVC_S3_REGION"),
        ({"COMPOSE_PROFILES": "registry3,s3"}, "the profiles registry3 and s3 exclude each other"),
        ({"COMPOSE_PROFILES": "registry33"}, "there is no profile 'registry33'"),
        ({"AUTHSVC_PUBLIC_URL": "https://registry.test/path"}, "is not a registry address"),
        ({"AUTHSVC_STORE_NETWORK": "10.1.2.0"}, "AUTHSVC_STORE_NETWORK '10.1.2.0' must be three numbers"),
        ({"AUTHSVC_TLS": "on"}, "AUTHSVC_TLS=on needs an AUTHSVC_PUBLIC_URL that begins with https://"),
    ],
)
def test_wrong_settings_are_one_sentence(shop: Shop, settings: dict[str, str], sentence: str) -> None:
    """A mistake in .env stops at `init`, with the reason, and leaves what runs as it is."""
    wrong = shop.project.with_settings(**settings)
    ran = wrong.compose("run", "--rm", "init", check=False)

    assert ran.code == 2
    assert sentence in ran.said
    shop.still_sells()


def test_metrics_and_health_on_the_loopback_of_the_host(shop: Shop) -> None:
    """Prometheus on the host reads both, at an address of no other machine; without the profile nothing is there."""
    engine, address = shop.project.engine, "http://127.0.0.1:9090"
    measured = shop.project.with_settings(COMPOSE_PROFILES="metrics")
    measured.up()
    metrics = engine.inside("curl", "-s", f"{address}/metrics").out
    health = json.loads(engine.inside("curl", "-s", f"{address}/readyz").out)
    refused = [
        engine.inside("curl", "-si", *asked).out
        for asked in ((f"{address}/events/registry",), ("-d", "", f"{address}/metrics"))
    ]
    published = measured.compose("port", "metrics", "9090").out.strip()
    measured.compose("rm", "--stop", "--force", "metrics")

    assert "\nauthsvc_" in metrics
    assert health["store"] == "up"
    assert [answer.split()[1] for answer in refused] == ["404", "403"]
    assert published == "127.0.0.1:9090"
    assert engine.inside("curl", "-s", f"{address}/metrics").code != 0


def test_registry3_serves_and_the_other_one_idles(shop: Shop) -> None:
    """Its own configuration path is used: with the image's default it would ask nobody who he is."""
    third = shop.project.with_settings(COMPOSE_PROFILES="registry3")
    third.up()
    challenge = third.engine.inside("curl", "-si", f"http://{NAME}/v2/").out
    idle = third.compose("exec", "-T", "registry", "sh", "-c", "cat /proc/*/comm").out.split()
    serving = third.compose("exec", "-T", "registry3", "sh", "-c", "cat /proc/*/comm").out.split()
    shop.still_sells()
    third.compose("down")

    assert challenge.startswith("HTTP/1.1 401 ")
    assert "registry" in serving
    assert "registry" not in idle


def test_images_in_a_bucket(shop: Shop) -> None:
    """With the profile s3 blobs go to a bucket, signed with the key of the file, and come back the same way."""
    engine = shop.project.engine
    credentials = engine.folder / "s3-credentials"
    credentials.write_text("[default]\naws_access_key_id = AKIDTEST\naws_secret_access_key = of-the-test\n")
    credentials.chmod(0o400)
    os.chown(credentials, 10001, 10001)
    stored = shop.project.with_settings(
        COMPOSE_PROFILES="s3",
        AUTHSVC_S3_BUCKET="images",
        AUTHSVC_S3_REGION="eu-central-1",
        AUTHSVC_S3_ENDPOINT="http://bucket:9000",
        AUTHSVC_S3_FOLDER="registry",
        AUTHSVC_S3_CREDENTIALS=str(credentials),
    )
    stored.compose("up", "--no-start")
    python = engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "python", check=True).out.split()[0]
    server = ("--network", "authsvc_storage", "--volume", f"{ROOT}/tests/compose/s3_server.py:/s3_server.py:ro")
    bucket = ("run", "--detach", "--name", "bucket", *server, python, "python3", "-u", "/s3_server.py", "9000")
    engine.docker(*bucket, check=True)
    try:
        stored.up()
        shop.login_as_vendor()
        assert "not found" in shop.pull().said
        assert shop.push(shop.image).code == 0
        shop.login_as_customer()
        shop.still_sells()
        refused = stored.compose("run", "--rm", "gc", check=False)
        collected = stored.with_settings(AUTHSVC_S3_SOLE_WRITER="yes").compose("run", "--rm", "gc").said
        sells_again(shop)
        signed = engine.docker("logs", "bucket").out
    finally:
        engine.docker("rm", "--force", "bucket")
        stored.compose("down")

    assert "Credential=AKIDTEST/" in signed
    assert refused.code == 2
    assert "AUTHSVC_S3_SOLE_WRITER=yes" in refused.said
    assert "gc: done" in collected


def good_in_a_row(asking: "subprocess.Popen[str]") -> list[list[Any]]:
    """Return the next answers up to :data:`IN_A_ROW` in a row that are good and were asked for from now on."""
    assert asking.stdout is not None
    answers, began, good = list[list[Any]](), time.monotonic(), 0
    while good < IN_A_ROW:
        assert time.monotonic() < began + PATIENCE, answers
        answers.append(json.loads(asking.stdout.readline()))
        asked, _, status = answers[-1]
        good = good + 1 if status == 200 and asked >= began else 0
    return answers


def test_a_failover_under_pulls(shop: Shop) -> None:
    """The primary dies: pulls go on, nothing acknowledged is lost, and the old primary comes back as a replica."""
    watched = shop.project.with_settings(COMPOSE_PROFILES="sentinel")
    watched.up()
    made = watched.authsvc("team", "create", "beforehand")
    assert "created" in made
    scope = f"http://{NAME}/auth/token?service={NAME}&scope=repository:myapp/worker:pull"
    primary = ("redis-cli", "-p", "26379", "sentinel", "get-master-addr-by-name", "authsvc")
    with watched.engine.starts_inside(sys.executable, "-c", ASK_FOR_TOKENS, scope) as asking:
        assert asking.stdin is not None
        asking.stdin.write(f"{json.dumps(shop.license_file)}\n")
        asking.stdin.flush()
        before = good_in_a_row(asking)
        watched.engine.docker("kill", watched.container("redis"), check=True)
        until(lambda: "198.18.213.12" in watched.compose("exec", "-T", "sentinel-1", *primary).out, "a new primary")
        answers = [*before, *good_in_a_row(asking)]
        asking.communicate(timeout=PATIENCE)
    failed = [answer for answer in answers if answer[2] != 200]

    assert "beforehand" in watched.authsvc("team", "list")
    assert "created" in watched.authsvc("team", "create", "afterwards")
    print(f"{len(failed)} of {len(answers)} token requests failed: {failed}")  # noqa: T201  a figure worth seeing
    shop.still_sells()

    watched.up()
    follows = ("exec", "-T", "redis", "grep", "-q", "^replicaof ", "/data/redis.conf")
    until(lambda: watched.compose(*follows, check=False).code == 0, "the old primary follows")
    watched.compose("restart", "sentinel-1", "sentinel-2", "sentinel-3", "redis", "redis-replica", "authsvc")
    sells_again(shop)
    assert "afterwards" in watched.authsvc("team", "list")
    shop.still_sells()

    # Without the profile the old primary would serve what it had before the fail-over.
    shop.project.compose("run", "--rm", "init")
    shop.project.compose("stop", "redis")
    refused = shop.project.compose("run", "--rm", "--no-deps", "redis", check=False)
    assert refused.code != 0
    assert "the newest data are in redis-replica" in refused.said

    back_to_one_redis(watched)
    shop.project.up()
    assert "created" in shop.project.authsvc("team", "create", "alone")
    assert "afterwards" in shop.project.authsvc("team", "list")
    shop.still_sells()


def back_to_one_redis(watched: Project) -> None:
    """Type what docs/redis-sentinel.md says: remove the sentinels first, which would choose another primary."""
    watched.up()
    sentinel = ("exec", "-T", "sentinel-1", "redis-cli", "-p", "26379", "sentinel")
    # A sentinel refuses while it has not yet heard again of whom it could name.
    until(lambda: watched.compose(*sentinel, "failover", "authsvc").out.strip() == "OK", "a fail-over")
    until(
        lambda: "198.18.213.11" in watched.compose(*sentinel, "get-master-addr-by-name", "authsvc").out,
        "redis is the primary",
    )
    # Written after the promotion was seen.
    rewritten = ("exec", "-T", "redis", "grep", "-q", "^replicaof ", "/data/redis.conf")
    until(lambda: watched.compose(*rewritten, check=False).code == 1, "redis remembers it")
    watched.compose("rm", "--stop", "--force", *("sentinel-1", "sentinel-2", "sentinel-3", "redis-replica"))
