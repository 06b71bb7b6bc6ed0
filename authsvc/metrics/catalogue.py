"""Every metric: its name, its meaning, and all of its possible series. docs/metrics.md says the same, and a test
compares the two.
"""  # noqa: D205

import itertools
from collections.abc import Mapping

from attrs import Factory, field, frozen

from authsvc.metrics.metric import OTHER, Kind, Label, Metric
from authsvc.outcomes import FAILED, ISSUED, LABELS, REFUSED

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

EDGE, INSIDE = "edge", "inside"
STATUSES = ("2xx", "3xx", "4xx", "5xx")

TOKEN_REQUESTS = Metric(
    "authsvc_token_requests_total",
    Kind.COUNTER,
    "Token requests by what became of them.",
    (Label("outcome", (ISSUED, REFUSED, FAILED)), Label("reason", tuple(reason for _, reason in LABELS))),
    LABELS,
)
TOKEN_SECONDS = Metric(
    "authsvc_token_request_seconds", Kind.HISTOGRAM, "Time from a read token request to its answer.", buckets=FAST
)
HTTP_REQUESTS = Metric(
    "authsvc_http_requests_total",
    Kind.COUNTER,
    "Requests of any kind by listener and class of status.",
    (Label("listener", (EDGE, INSIDE)), Label("status", STATUSES)),
)
COLLECTIONS = (
    *("teams", "members", "apps", "images", "tokens", "service-accounts", "customers", "licenses", "license-keys"),
    *("upstreams", "webhooks", "audit", "activity", "member-links", "openapi"),
)
API_REQUESTS = Metric(
    "authsvc_api_requests_total",
    Kind.COUNTER,
    "Requests to the management API by collection, method and class of status.",
    (
        Label("collection", (*COLLECTIONS, OTHER)),
        Label("method", ("GET", "HEAD", "POST", "PATCH", "DELETE", OTHER)),
        Label("status", STATUSES),
    ),
)
API_SECONDS = Metric(
    "authsvc_api_request_seconds", Kind.HISTOGRAM, "Time from a routed request to its answer.", buckets=SLOW
)
KNOWN, NEW = "known", "new"

PASSWORDS_WAITING = Metric(
    "authsvc_password_checks_waiting",
    Kind.GAUGE,
    "Argon2id checks that wait for a thread, by whether the account has signed in from that network before.",
    (Label("network", (KNOWN, NEW)),),
)
PASSWORDS_RUNNING = Metric("authsvc_password_checks_running", Kind.GAUGE, "Argon2id checks that a thread works on.")
PASSWORD_SECONDS = Metric(
    "authsvc_password_check_seconds", Kind.HISTOGRAM, "Time of one Argon2id check in its thread.", buckets=SLOW
)
UNCLEAR_CLIENTS = Metric(
    "authsvc_client_addresses_unclear",
    Kind.LARGEST,
    "1 when passwords come from private addresses, which may be those of a proxy that is not configured.",
)
STORE_SECONDS = Metric(
    "authsvc_store_command_seconds", Kind.HISTOGRAM, "Time of one command to Redis, failed ones too.", buckets=FAST
)
STORE_ERRORS = Metric(
    "authsvc_store_errors_total", Kind.COUNTER, "Commands to Redis that failed or had no answer in time."
)
CACHE, REDIS = "cache", "redis"

RECORD_READS = Metric(
    "authsvc_record_reads_total",
    Kind.COUNTER,
    "Questions for records of the token path and of linked registries, by what answered them.",
    (Label("source", (CACHE, REDIS)),),
)
RECORDS_CACHED = Metric("authsvc_records_cached", Kind.GAUGE, "Records that the workers keep decoded.")
WORKERS_TRACKING = Metric(
    "authsvc_workers_tracking", Kind.GAUGE, "Workers whose cached records are kept current by Redis."
)
STORE_DISK_FREE = Metric(
    "authsvc_store_disk_free_bytes", Kind.LARGEST, "Room that is left on the disk of Redis; 0 when it is not known."
)
STORE_DISK_SIZE = Metric(
    "authsvc_store_disk_size_bytes", Kind.LARGEST, "Size of the disk of Redis; 0 when it is not known."
)
STORE_MEMORY_USED = Metric(
    "authsvc_store_memory_used_bytes", Kind.LARGEST, "Memory that Redis uses, as it compares it with its maxmemory."
)
STORE_MEMORY_LIMIT = Metric(
    "authsvc_store_memory_limit_bytes", Kind.LARGEST, "maxmemory of Redis; 0 when there is none or it is not known."
)
STORE_FILE = Metric(
    "authsvc_store_append_only_file_bytes",
    Kind.LARGEST,
    "Size of the append-only file of Redis; 0 when it is not known.",
)
REGISTRY_DISK_FREE = Metric(
    "authsvc_registry_disk_free_bytes", Kind.LARGEST, "Room that is left on the disk of the images; 0 when not known."
)
REGISTRY_DISK_SIZE = Metric(
    "authsvc_registry_disk_size_bytes", Kind.LARGEST, "Size of the disk of the images; 0 when it is not known."
)
REGISTRY, KEY_SERVICE, NGINX = "registry", "key-service", "nginx"

PART_UP = Metric(
    "authsvc_part_up",
    Kind.STATE,
    "1 when a worker reached that part of the installation at its last look; missing when none looks at it.",
    (Label("part", (REDIS, REGISTRY, KEY_SERVICE, NGINX)),),
)
CLOCK_SKEW = Metric(
    "authsvc_clock_skew_seconds",
    Kind.LARGEST,
    "How far the clock of another part is from ours at least, ahead or behind.",
    (Label("part", (REDIS, REGISTRY)),),
    parts=1_000_000,
)
UPSTREAMS_FAILING = Metric(
    "authsvc_upstreams_failing",
    Kind.LARGEST,
    "Linked registries whose last known request failed, within the last day.",
)
TOKEN_ROOT_EXPIRY = Metric(
    "authsvc_token_root_expiry_seconds",
    Kind.SOONEST,
    "Time until the root certificate of the registry tokens ends; missing when this server does not have it.",
)
LEAF_EXPIRY = Metric(
    "authsvc_leaf_expiry_seconds", Kind.SOONEST, "Time until the first of the workers' signing certificates ends."
)
LEAF_FAILURES = Metric(
    "authsvc_leaf_renewal_failures_total", Kind.COUNTER, "Attempts to renew a signing certificate that failed."
)
TLS_EXPIRY = Metric(
    "authsvc_tls_certificate_expiry_seconds",
    Kind.SOONEST,
    "Time until the certificate ends that clients are shown; absent until it was seen.",
)
TLS_WRONG = Metric(
    "authsvc_tls_certificate_wrong",
    Kind.LARGEST,
    "1 when every client refuses that certificate: for another host, or outside of its dates.",
)
AUDIT_USED = Metric("authsvc_audit_used_bytes", Kind.LARGEST, "Memory of Redis that decisions and changes take.")
AUDIT_BUDGET = Metric("authsvc_audit_budget_bytes", Kind.LARGEST, "Memory of Redis that they may take.")
AUDIT_WAITING = Metric("authsvc_audit_waiting", Kind.GAUGE, "Audit entries that are not written yet.")
AUDIT_LOSSES = ("budget", "backlog", "disk", "fault", "stopped")
AUDIT_LOST = Metric(
    "authsvc_audit_lost_total",
    Kind.COUNTER,
    "Decisions that could not be written to the audit, by the reason.",
    (Label("reason", AUDIT_LOSSES),),
)
ACCEPTED, DUPLICATE, IGNORED, DROPPED, UNUSABLE = "accepted", "duplicate", "ignored", "dropped", "unusable"

REGISTRY_EVENTS = Metric(
    "authsvc_registry_events_total",
    Kind.COUNTER,
    "Events of the registry by what became of them.",
    (Label("outcome", (ACCEPTED, DUPLICATE, IGNORED, DROPPED, UNUSABLE)),),
)
RECORDED, UNAUTHORIZED, UNAVAILABLE, OVERLOADED, INCOMPLETE = (
    "recorded",
    "unauthorized",
    "unavailable",
    "overloaded",
    "incomplete",
)

REGISTRY_NOTIFICATIONS = Metric(
    "authsvc_registry_notifications_total",
    Kind.COUNTER,
    "Requests with which the registry sent events, by the answer; all but the recorded ones are sent again.",
    (Label("answer", (RECORDED, UNUSABLE, UNAUTHORIZED, UNAVAILABLE, OVERLOADED, INCOMPLETE)),),
)
REGISTRY_NOTIFICATION_SECONDS = Metric(
    "authsvc_registry_notification_seconds",
    Kind.HISTOGRAM,
    "Time in which the events of one request were recorded.",
    buckets=FAST,
)
REGISTRY_LAST_EVENT = Metric(
    "authsvc_registry_last_event_timestamp_seconds",
    Kind.LARGEST,
    "Unix time at which the last events were recorded; 0 when none were by the workers that serve.",
)
LOG_LOST = Metric("authsvc_log_lost_total", Kind.COUNTER, "Log lines that could not be written.")
METRICS_LOST = Metric(
    "authsvc_metrics_lost_total", Kind.COUNTER, "Measurements with a label value that no series is declared for."
)
WORKERS = Metric("authsvc_workers", Kind.GAUGE, "Workers that serve.")
WORKERS_WANTED = Metric("authsvc_workers_wanted", Kind.GAUGE, "Workers that should serve.")
WORKER_DEATHS = Metric("authsvc_worker_deaths_total", Kind.COUNTER, "Workers that ended unexpectedly.")

KEY_OPERATIONS = Metric(
    "authsvc_key_operations_total",
    Kind.COUNTER,
    "Operations that workers asked the key service for, by what became of them.",
    (
        Label("operation", ("sign_license", "derive_license_token", "list_license_keys", "seal", "unseal")),
        Label("outcome", ("done", "refused", "unavailable")),
    ),
)
KEY_SERVICE_DEATHS = Metric("authsvc_key_service_deaths_total", Kind.COUNTER, "Key services that ended unexpectedly.")

IMAGES_CRAWLED = Metric(
    "authsvc_images_crawled_timestamp_seconds",
    Kind.LARGEST,
    "Unix time at which the last whole crawl of the registry ended; 0 when this server has not looked.",
)
IMAGES_CRAWL_SECONDS = Metric("authsvc_images_crawl_seconds", Kind.LARGEST, "Time that the last whole crawl took.")
IMAGES_CRAWL_UNREAD = Metric(
    "authsvc_images_crawl_unread", Kind.LARGEST, "Repositories and tags that the last whole crawl could not read."
)
IMAGES_FAILURES = Metric(
    "authsvc_images_failures_total",
    Kind.COUNTER,
    "Changes of images and crawls that stopped because the registry gave no usable answer.",
)
IMAGES_WAITING = Metric(
    "authsvc_images_waiting", Kind.LARGEST, "Pushes and deletions that the index of images has not read yet."
)

PROXY_REQUESTS = Metric(
    "authsvc_proxy_requests_total",
    Kind.COUNTER,
    "Requests for something of a linked registry that token and link allow.",
    (Label("kind", ("manifests", "blobs", "tags", "referrers")),),
)
PROXY_MISSES = Metric(
    "authsvc_proxy_misses_total",
    Kind.COUNTER,
    "Those of them for which the cache of nginx had nothing.",
    (Label("kind", ("manifests", "blobs")),),
)
PROXY_STALE = Metric(
    "authsvc_proxy_stale_total",
    Kind.COUNTER,
    "Tags that were answered with what they meant last, because the linked registry gave no answer.",
)
PROXY_FAILURES = Metric(
    "authsvc_proxy_failures_total",
    Kind.COUNTER,
    "Requests that got nothing, by the code of the error.",
    (
        Label(
            "reason",
            (
                *("upstream_unavailable", "upstream_refused", "upstream_limited", "upstream_not_found", "overloaded"),
                OTHER,
            ),
        ),
    ),
)
NO_ANSWER = "none"
UPSTREAM_STATUSES = ("2xx", "3xx", "401", "403", "404", "429", "4xx", "5xx", NO_ANSWER)

PROXY_UPSTREAM_ANSWERS = Metric(
    "authsvc_proxy_upstream_answers_total",
    Kind.COUNTER,
    "Answers of linked registries by their status, without those of blobs that nginx passed on.",
    (Label("status", UPSTREAM_STATUSES),),
)

WEBHOOK_ATTEMPTS = Metric(
    "authsvc_webhook_attempts_total",
    Kind.COUNTER,
    "Attempts to deliver an event to a webhook, by what became of the delivery.",
    (Label("outcome", ("delivered", "retried", "failed")),),
)
WEBHOOKS_WAITING = Metric(
    "authsvc_webhooks_waiting", Kind.GAUGE, "Events that wait for their delivery to webhooks, counted by the sender."
)
WEBHOOKS_DROPPED = Metric(
    "authsvc_webhooks_dropped_total", Kind.COUNTER, "Events for webhooks that were dropped because too many waited."
)

METRICS = (
    *(TOKEN_REQUESTS, TOKEN_SECONDS, HTTP_REQUESTS, API_REQUESTS, API_SECONDS),
    *(PASSWORDS_WAITING, PASSWORDS_RUNNING, PASSWORD_SECONDS),
    UNCLEAR_CLIENTS,
    *(STORE_SECONDS, STORE_ERRORS, STORE_DISK_FREE, STORE_DISK_SIZE, STORE_MEMORY_USED, STORE_MEMORY_LIMIT),
    *(STORE_FILE, REGISTRY_DISK_FREE, REGISTRY_DISK_SIZE, PART_UP, CLOCK_SKEW),
    *(RECORD_READS, RECORDS_CACHED, WORKERS_TRACKING),
    *(TOKEN_ROOT_EXPIRY, LEAF_EXPIRY, LEAF_FAILURES, TLS_EXPIRY, TLS_WRONG, WORKERS, WORKERS_WANTED, WORKER_DEATHS),
    *(AUDIT_USED, AUDIT_BUDGET, AUDIT_WAITING, AUDIT_LOST, LOG_LOST, METRICS_LOST),
    *(KEY_OPERATIONS, KEY_SERVICE_DEATHS),
    *(REGISTRY_EVENTS, REGISTRY_NOTIFICATIONS, REGISTRY_NOTIFICATION_SECONDS, REGISTRY_LAST_EVENT),
    *(IMAGES_CRAWLED, IMAGES_CRAWL_SECONDS, IMAGES_CRAWL_UNREAD, IMAGES_FAILURES, IMAGES_WAITING),
    *(PROXY_REQUESTS, PROXY_MISSES, PROXY_STALE, PROXY_FAILURES, PROXY_UPSTREAM_ANSWERS),
    UPSTREAMS_FAILING,
    *(WEBHOOK_ATTEMPTS, WEBHOOKS_WAITING, WEBHOOKS_DROPPED),
)
"""All of them, in the order in which they are shown."""


Series = tuple[str, tuple[str, ...]]
"""The name of a metric, and the label values of one of its series."""


def _starts_of(metrics: tuple[Metric, ...]) -> Mapping[Series, int]:
    keys = [(metric, series) for metric in metrics for series in metric.series]
    starts = itertools.accumulate((metric.width for metric, _ in keys), initial=0)
    return {(metric.name, series): start for (metric, series), start in zip(keys, starts, strict=False)}


@frozen
class SlotLayout:
    """Where each series has its cells in a slot.

    Attributes:
        metrics: that there are, in the order of their cells.
        starts: the index of the first cell of each series.
        size: how many cells a slot has.
    """

    metrics: tuple[Metric, ...] = METRICS
    starts: Mapping[Series, int] = field(
        default=Factory(lambda self: _starts_of(self.metrics), takes_self=True), init=False
    )
    size: int = field(
        default=Factory(lambda self: sum(m.width * len(m.series) for m in self.metrics), takes_self=True), init=False
    )

    def start(self, metric: Metric, labels: tuple[str, ...]) -> int | None:
        """Return the index of the first cell of the series that ``labels`` belong to, or None if none is declared."""
        start = self.starts.get((metric.name, labels))
        if start is None and len(labels) == len(metric.labels):
            declared = tuple(label.declared(value) for label, value in zip(metric.labels, labels, strict=True))
            start = self.starts.get((metric.name, declared))
        return start
