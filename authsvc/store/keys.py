"""The names of all keys, in one place. User text never stands in a key raw: slugs and ids have an ASCII grammar
without ``:`` or glob characters, and an address is hashed (threat 15).
"""  # noqa: D205

import hashlib

PREFIX = "authsvc:"

NONE = f"{PREFIX}none"
"""A key that never exists: it is a placeholder in a reply."""

AUDIT = f"{PREFIX}audit"
"""Stream of audit entries."""

AUDIT_UNPROVEN = f"{PREFIX}audit:noise"
"""Stream of entries on events before identity was proven; short, and trimmed first."""

AUDIT_SIZE = f"{PREFIX}audit:size"
"""Bytes and entries of the stream of audit entries, counted by each script that writes or trims it."""

AUDIT_UNPROVEN_SIZE = f"{PREFIX}audit:noise:size"
"""The same for the stream of events before identity was proven."""

AUDIT_INDEX = f"{PREFIX}audit:index"
"""From which entry on those of each team are indexed, and the last one that was."""

AUDIT_TEAM = f"{PREFIX}audit:team:"
"""With a team's slug behind it: stream of the ids of the team's audit entries."""

AUDIT_BLOCKS = f"{PREFIX}audit:blocks"
"""Stream with a Bloom filter for each block of audit entries."""

AUDIT_TRIMMER = f"{PREFIX}audit:keeper"
"""Who trims the audit, for some seconds."""

AUDIT_ALARM = f"{PREFIX}audit:alarm"
"""Mark that the alarm of a nearly full audit was raised within the hour."""

TEAMS = f"{PREFIX}teams"
"""Set of all team slugs."""

UPSTREAMS_FAILING = f"{PREFIX}upstreams-failing"
"""Sorted set of the ids of the linked registries whose last request failed, by the Unix time of that."""

WORKERS = f"{PREFIX}workers"
"""Sorted set of the ids of workers, by the Unix time of their last heartbeat."""

KEY_GENERATION = f"{PREFIX}key-generation"
"""Number of the last request to renew signing certificates."""

GENERATION_FLOOR = f"{PREFIX}generation-floor"
"""The least generation that a rotation of a license makes: above all that were made before a backup was restored."""

LEAF = f"{PREFIX}leaf:"
"""With a number behind it: a part of an ordered index."""

LEAVES = f"{PREFIX}leaves"
"""Number of the newest leaf of all indexes."""

IMAGES_CHANGED = f"{PREFIX}images:changed"
"""Set of pushed or deleted images that are not read from the registry yet: ``REPOSITORY:TAG``, ``REPOSITORY@DIGEST``
for all tags of a digest, or ``REPOSITORY`` for all of its tags."""

IMAGES_TAKEN = f"{PREFIX}images:taken"
"""Set of those that are being read; after a crash they are read again."""

IMAGES_UNCOUNTED = f"{PREFIX}images:uncounted"
"""Set of the apps whose images have changed since they were last added up."""

IMAGES_LEASE = f"{PREFIX}images:lease"
"""Which worker reads the registry for the index of images, for some seconds."""

IMAGES_CRAWL = f"{PREFIX}images:crawl"
"""Hash: progress of the current crawl of the registry, and result of the last one."""

MIGRATION = f"{PREFIX}migration:indexes"
"""State of the passes that give records their index entries."""

MIGRATION_LEASE = f"{PREFIX}migration:lease"
"""Which worker makes the current pass, for some seconds."""

WEBHOOKS = f"{PREFIX}webhooks"
"""Sorted set of all webhooks, each as team and id with a slash between them, by Unix time of making."""

WEBHOOK_ENDINGS = f"{PREFIX}webhook-endings"
"""Hash: by app and number of days, up to which entry of the index of ends licenses were reported."""

ACTIVITY = f"{PREFIX}activity:"
"""Prefix of every key of the activity (:mod:`authsvc.store.activity_script` makes most of their names)."""

CACHED = tuple(
    f"{PREFIX}{kind}:" for kind in ("license", "app", "member", "personal-token", "service-account", "upstream")
)
"""Prefixes of the keys of records that workers cache; none is a prefix of another."""


def activity_accounts(app: str) -> str:
    """Hash of the numbers that stand for the subjects with activity in an app."""
    return f"{ACTIVITY}accounts:{app}"


def activity_account_part(app: str, part: int) -> str:
    """Hash of a part of an app's accounts: subject, first and last pull, by the rest of the number."""
    return f"{ACTIVITY}account:{app}:{part}"


def activity_counts(resolution: str, app: str, account: int, block: int) -> str:
    """Hash of the activity of an account in one block of hours or days; account 0 is the whole app."""
    return f"{ACTIVITY}{resolution}:{app}:{account}:{block}"


def activity_active(app: str, day: int) -> str:
    """Bitmap of the numbers of the accounts with activity on a day."""
    return f"{ACTIVITY}active:{app}:{day}"


def activity_used(app: str, account: int, era: int) -> str:
    """Hash of the images that an account pulled, or requested with HEAD, in an era."""
    return f"{ACTIVITY}used:{app}:{account}:{era}"


def activity_networks(app: str, account: int, era: int) -> str:
    """Hash of the networks of an account's clients in an era."""
    return f"{ACTIVITY}networks:{app}:{account}:{era}"


def activity_image(image: str) -> str:
    """Hash of the history of a repository, tag or digest; ``image`` is a hash of its name."""
    return f"{ACTIVITY}image:{image}"


def activity_users(image: str, era: int, part: int) -> str:
    """Hash of a part of the accounts that used an image in an era, with the last pull of each."""
    return f"{ACTIVITY}users:{image}:{era}:{part}"


def index(kind: str, owner: str = "") -> str:
    """Ordered index of one kind; ``owner`` is the slug or id that it belongs to."""
    return f"{PREFIX}index:{kind}:{owner}"


def customer(customer_id: str) -> str:
    """Record of a customer."""
    return f"{PREFIX}customer:{customer_id}"


def customer_name(name: str) -> str:
    """Stands for a customer's exact name in the index of what is unique in a team; an id is behind it."""
    return f"n{_digest(name)[:32]}"


def customer_reference(reference: str) -> str:
    """Stands for a customer's exact reference there."""
    return f"r{_digest(reference)[:32]}"


def worker(worker_id: str) -> str:
    """Last heartbeat of a worker; its id is made by us from letters of the host name."""
    return f"{PREFIX}worker:{worker_id}"


def team(slug: str) -> str:
    """Record of a team."""
    return f"{PREFIX}team:{slug}"


def app(slug: str) -> str:
    """Record of an app."""
    return f"{PREFIX}app:{slug}"


def team_apps(slug: str) -> str:
    """Set of the slugs of a team's apps."""
    return f"{PREFIX}team-apps:{slug}"


def member(member_id: str) -> str:
    """Record of a member."""
    return f"{PREFIX}member:{member_id}"


def member_email(email: str) -> str:
    """Id of the member with this canonical address."""
    return f"{PREFIX}member-email:{_digest(email)}"


def team_members(slug: str) -> str:
    """Set of the ids of a team's members."""
    return f"{PREFIX}team-members:{slug}"


def license_(license_id: str) -> str:
    """Record of a license."""
    return f"{PREFIX}license:{license_id}"


def app_licenses(slug: str) -> str:
    """Sorted set of the ids of an app's licenses, by Unix time of issue."""
    return f"{PREFIX}app-licenses:{slug}"


def license_reference(slug: str, reference: str) -> str:
    """Which license of an app was made for a vendor's own key."""
    return f"{PREFIX}license-reference:{slug}:{_digest(reference)}"


def repository(name: str) -> str:
    """Hash: state of a repository in the index of images; its name has the grammar of an app's repository."""
    return f"{PREFIX}repository:{name}"


def referrers(name: str) -> str:
    """Hash of the referrers of the manifests of a repository, by digest, if the registry lists them."""
    return f"{PREFIX}referrers:{name}"


def image(slug: str, digest: str) -> str:
    """Summary of an image of an app; each app has its own, so that none can find out which images another one has."""
    return f"{PREFIX}image:{slug}:{digest}"


def image_blobs(slug: str, digest: str) -> str:
    """The configurations and layers of an image of an app."""
    return f"{PREFIX}image-blobs:{slug}:{digest}"


def app_images(slug: str) -> str:
    """Hash: totals of all images of an app."""
    return f"{PREFIX}app-images:{slug}"


def personal_token(token_id: str) -> str:
    """Record of a personal token."""
    return f"{PREFIX}personal-token:{token_id}"


def personal_token_name(member_id: str, name: str) -> str:
    """Id of the newest personal token of this name."""
    return f"{PREFIX}personal-token-name:{member_id}:{_digest(name)}"


def member_tokens(member_id: str) -> str:
    """Set of the ids of a member's personal tokens."""
    return f"{PREFIX}member-tokens:{member_id}"


def service_account(account_id: str) -> str:
    """Record of a service account."""
    return f"{PREFIX}service-account:{account_id}"


def service_account_name(team_slug: str, name: str) -> str:
    """Id of the service account of this name; the name has a slug's grammar."""
    return f"{PREFIX}service-account-name:{team_slug}:{name}"


def team_service_accounts(slug: str) -> str:
    """Set of the ids of a team's service accounts."""
    return f"{PREFIX}team-service-accounts:{slug}"


def refresh_token(token_id: str) -> str:
    """Record of a refresh token."""
    return f"{PREFIX}refresh-token:{token_id}"


def member_refresh_tokens(member_id: str) -> str:
    """Sorted set of the ids of a member's refresh tokens, by Unix time of making."""
    return f"{PREFIX}member-refresh-tokens:{member_id}"


def portal_session(session_id: str) -> str:
    """Record of a session of the portal."""
    return f"{PREFIX}portal-session:{session_id}"


def holder_sessions(holder: str) -> str:
    """Sorted set of the ids of a member's sessions of the portal of one epoch, by Unix time of signing in."""
    return f"{PREFIX}holder-sessions:{holder}"


def link(link_id: str) -> str:
    """Record of a one-time link."""
    return f"{PREFIX}link:{link_id}"


def pending_link(email: str) -> str:
    """Id of the only open link for this canonical address; a newer one replaces it."""
    return f"{PREFIX}pending-link:{_digest(email)}"


def upstream(slug: str, name: str) -> str:
    """Link of an app to an external registry; the name has a slug's grammar."""
    return f"{PREFIX}upstream:{slug}:{name}"


def upstream_id(link_id: str) -> str:
    """App and name of the link of this id, with a slash between them."""
    return f"{PREFIX}upstream-id:{link_id}"


def team_upstreams(slug: str) -> str:
    """Sorted set of the ids of a team's links, by Unix time of making."""
    return f"{PREFIX}team-upstreams:{slug}"


def app_upstreams(slug: str) -> str:
    """The same of an app's links."""
    return f"{PREFIX}app-upstreams:{slug}"


def upstream_health(link_id: str, credential_version: int) -> str:
    """Hash of the health of a link with its current credential."""
    return f"{PREFIX}upstream-health:{link_id}:{credential_version}"


def webhook(webhook_id: str) -> str:
    """Record of a webhook."""
    return f"{PREFIX}webhook:{webhook_id}"


def team_webhooks(slug: str) -> str:
    """Sorted set of the ids of a team's webhooks, by Unix time of making."""
    return f"{PREFIX}team-webhooks:{slug}"


def webhook_failing(slug: str) -> str:
    """Hash: by link of a team, the event by which it was reported that its credential fails."""
    return f"{PREFIX}webhook-failing:{slug}"


def used(credential_id: str) -> str:
    """When a credential was last used, to about the minute."""
    return f"{PREFIX}used:{credential_id}"


def throttle(limit: str, bucket: str) -> str:
    """State of a throttle bucket; ``bucket`` is a hash."""
    return f"{PREFIX}throttle:{limit}:{bucket}"


def known_networks(member_id: str) -> str:
    """Sorted set of the networks that a member has signed in from, hashed, by Unix time of the last time."""
    return f"{PREFIX}known-networks:{member_id}"


def repository_lock(repository: str) -> str:
    """Holder of the lock for deletions from a repository, for some seconds."""
    return f"{PREFIX}repository-lock:{_digest(repository)[:32]}"


def upstream_token(link_id: str, version: int) -> str:
    """Sealed token of a linked registry, for one version of its credential."""
    return f"{PREFIX}upstream-token:{link_id}:{version}"


def upstream_token_lock(link_id: str) -> str:
    """Holder of the lock for fetching a token of a linked registry, for some seconds."""
    return f"{PREFIX}upstream-token-lock:{link_id}"


def tag_events(repository: str) -> str:
    """Stream of the registry's reports about tags of a repository while images are deleted from it."""
    return f"{PREFIX}tag-events:{_digest(repository)[:32]}"


def pending_deletion(repository: str) -> str:
    """Deletion of an image of a repository that was begun and whose end is not recorded."""
    return f"{PREFIX}pending-deletion:{_digest(repository)[:32]}"


def upstream_tag(scope: str, repository: str, tag: str) -> str:
    """The last known image of a tag of a linked registry; ``scope`` is the link with its credential and purges."""
    return f"{PREFIX}upstream-tag:{scope}:{_digest(f'{repository}:{tag}')[:32]}"


def upstream_tags(scope: str) -> str:
    """Sorted set of the keys of a link's remembered tags, by Unix time of their last look-up."""
    return f"{PREFIX}upstream-tags:{scope}"


def upstream_content(scope: str, kind: str, repository: str, digest: str) -> str:
    """Known data of a manifest or blob of a linked registry; ``scope`` as above."""
    return f"{PREFIX}upstream-content:{scope}:{_digest(f'{kind}:{repository}:{digest}')[:32]}"


def upstream_contents(scope: str) -> str:
    """Sorted set of the keys of known manifests and blobs of a link, by Unix time of their last use."""
    return f"{PREFIX}upstream-contents:{scope}"


def operation(operation_id: str) -> str:
    """Mark of a change that was applied."""
    return f"{PREFIX}op:{operation_id}"


def _digest(text: str) -> str:
    # What is looked for may have bytes that are no UTF-8, as Python reads them from a command line; it is not found.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
