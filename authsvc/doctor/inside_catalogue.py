"""The findings from inside, in the order in which they should be fixed.

docs/doctor.md has the same codes; a test compares the two.
"""

from authsvc.doctor.finding import FindingKind

_CONFIG = "in the registry's configuration: "

_RESTART = ", and restart the registry"

_REDIS = "in redis.conf: "

INSIDE_KINDS = {
    "redis-unreachable": FindingKind(
        "Redis does not answer at the address of AUTHSVC_REDIS_URL",
        "nobody gets a token, except licenses that were verified within the last minute",
        "start Redis; or AUTHSVC_REDIS_URL",
    ),
    "redis-too-old": FindingKind(
        "{detail}",
        "its scripts are not those that authsvc needs, and changes would fail",
        "install Redis 7.0 or newer",
    ),
    "redis-replica": FindingKind(
        "{detail}",
        "a replica refuses every change, and lags behind with every revocation",
        "AUTHSVC_REDIS_URL: the address of the primary, or redis+sentinel:// with those of the sentinels",
    ),
    "redis-appendonly": FindingKind(
        "{detail}",
        "after a crash revoked licenses can pull again, and new ones are lost",
        _REDIS + "appendonly yes",
    ),
    "redis-appendfsync": FindingKind(
        "{detail}",
        "after a power cut revoked licenses can pull again, and new ones are lost",
        _REDIS + "appendfsync always",
    ),
    "redis-maxmemory-policy": FindingKind(
        "{detail}",
        "a full memory would remove licenses and revocations without a word",
        _REDIS + "maxmemory-policy noeviction",
    ),
    "redis-bgsave": FindingKind(
        "{detail}",
        "a revocation could then not be stored",
        _REDIS + "stop-writes-on-bgsave-error no",
    ),
    "redis-hole": FindingKind(
        "{detail}",
        "anyone who can reach Redis could run programs there",
        "update Redis",
    ),
    "worker-root": FindingKind(
        "a running worker signs below the root {found}, which is not in the secrets directory",
        "the registry refuses its tokens, so pulls fail now and then",
        "AUTHSVC_SECRETS_DIR of that server: the same secrets directory everywhere; then restart it",
    ),
    "registry-unreachable": FindingKind(
        "the registry does not answer at {address}: {detail}",
        "nobody can pull or push, and lists of images stand still",
        "start the registry; or AUTHSVC_REGISTRY_URL",
    ),
    "registry-auth-disabled": FindingKind(
        "the registry at {address} answers {got} without a token instead of 401",
        "if it is the registry, everybody who reaches it can pull, push and overwrite every image",
        "the section auth.token in the registry's configuration; and that the registry reads that file (registry 3: "
        "/etc/distribution/config.yml)",
    ),
    "registry-realm": FindingKind(
        "the registry sends clients to {found} for tokens",
        "clients ask there, and newer ones refuse another host than the registry's",
        _CONFIG + "realm: {realm}" + _RESTART,
    ),
    "registry-service": FindingKind(
        "the registry calls itself `{found}`, and authsvc makes tokens for `{service}` (the claim aud)",
        "every token is refused, so nobody can pull or push",
        _CONFIG + "service: {service}" + _RESTART,
    ),
    "registry-clock": FindingKind(
        "the clock of the registry is {seconds} s {direction} the one of this machine",
        "it accepts tokens within 60 s of its own clock only",
        "a time service on both: timedatectl set-ntp true",
    ),
    "registry-issuer": FindingKind(
        "the registry refuses authsvc's tokens, because it expects the issuer `{found}` and authsvc is `{issuer}`",
        "nobody can pull or push, though signing in works",
        _CONFIG + "issuer: {issuer}" + _RESTART,
    ),
    "registry-root": FindingKind(
        "the registry refuses authsvc's tokens, since {bundle} does not hold the root that signs, {root}",
        "nobody can pull or push, though signing in works",
        "copy token-root.cert.pem of the secrets directory to {bundle} (in compose: init --token-root)" + _RESTART,
    ),
    "registry-rejects-tokens": FindingKind(
        "the registry answers {got} to a token of authsvc",
        "nobody can pull or push, though signing in works",
        "restart the registry, which reads its trust at its start only; then compare issuer and rootcertbundle in its "
        "configuration with `{issuer}` and token-root.cert.pem of the secrets directory",
    ),
    "registry-read-only": FindingKind(
        "the registry answers {got} to the beginning of a push",
        "nobody can push",
        _CONFIG + "storage.maintenance.readonly.enabled: false, unless garbage is being collected" + _RESTART,
    ),
    "registry-delete-disabled": FindingKind(
        "the registry refuses to delete",
        "images cannot be deleted, neither by vendors nor from the portal",
        _CONFIG + "storage.delete.enabled: true" + _RESTART,
    ),
    "registry-old": FindingKind(
        "the registry lists more than 1000 repositories at once: it is older than 2.8.2, or has a catalog.maxentries",
        "one request can take all of its memory (CVE-2023-2253)",
        "registry 2.8.2 or newer, or 3.1.1 or newer; and no catalog.maxentries in its configuration",
    ),
    "http-secret-differs": FindingKind(
        "{seen}",
        "pushes fail now and then with `blob upload invalid`, and after every restart if no secret is set",
        "in the configuration of every replica: http.secret: (the text in registry-http.secret)" + _RESTART,
    ),
    "registry-storage-differs": FindingKind(
        "an upload that the registry at {address} began is unknown at {url}",
        "the registry behind the public URL is another one, or replicas do not share their storage",
        "AUTHSVC_REGISTRY_URL; or the same section storage in the configuration of every replica",
    ),
    "webhook-missing": FindingKind(
        "the registry sends its events nowhere",
        "activity, lists of images and webhooks of vendors learn of no push and no pull",
        _CONFIG + "notifications.endpoints with the url http://INSIDE-LISTENER/events/registry" + _RESTART,
    ),
    "webhook-wrong-url": FindingKind(
        "the registry sends its events to {receiver}, where authsvc is not: {got}",
        "activity, lists of images and webhooks of vendors learn of no push and no pull",
        _CONFIG + "notifications.endpoints.url: http://INSIDE-LISTENER/events/registry" + _RESTART,
    ),
    "webhook-wrong-bearer": FindingKind(
        "the registry sends its events to {receiver} with a bearer that authsvc refuses",
        "activity, lists of images and webhooks of vendors learn of no push and no pull",
        _CONFIG
        + "notifications.endpoints.headers: Authorization: [Bearer (the text in registry-events.secret)]"
        + _RESTART,
    ),
}
