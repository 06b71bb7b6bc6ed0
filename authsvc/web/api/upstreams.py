"""Links to external registries in the management API: ``/upstreams``."""

from datetime import UTC, datetime
from http import HTTPStatus

from attrs import frozen
from msgspec import UNSET, UnsetType

from authsvc.manage.permissions import Permission
from authsvc.manage.upstreams import LinkChange
from authsvc.manage.use_cases import UseCases
from authsvc.redaction import Secret
from authsvc.tenancy.dates import parse_end
from authsvc.upstreams.health import UpstreamHealth
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.providers import Provider
from authsvc.upstreams.terms import LinkTerms
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.endpoint import AnyCall, Call, Endpoint, ListAnswer, NoBody, NoQuery, ObjectAnswer, created, found
from authsvc.web.api.parameters import CONFIRM_ERRORS, PAGE_ERRORS, ConfirmQuery, PageQuery
from authsvc.web.api.schemas import Instant, Slug, When


@frozen
class UpstreamView:
    """An external registry that is linked to an app; its secret is never shown.

    Attributes:
        id: never changes.
        name: unique in the app; part of every image name.
        app: slug of the app.
        team: slug of the vendor.
        provider: the company or software that runs it.
        url: its address.
        token_hosts: other hosts that may ask for the secret.
        repositories: patterns of the images that can be pulled, relative to the registry.
        username: the user name that belongs to the secret, or null.
        has_secret: whether requests to it are authenticated with a secret.
        credential_version: increased by every change of the secret.
        credential_ends_at: when the secret expires, as entered or as the registry says; null if that is not known.
        purges: how often its cache was purged.
        created_at: when it was linked.
        created_by: id of the member who linked it; null for the operator.
        changed_at: when it was last changed.
        last_good_at: time of the last successful request to it, or null.
        last_error_at: time of the last failed request to it, or null.
        last_error_code: machine-readable code of that error, or null.
        last_error: description of that error, or null.
    """

    id: str
    name: str
    app: str
    team: str
    provider: Provider
    url: str
    token_hosts: tuple[str, ...]
    repositories: tuple[str, ...]
    username: str | None
    has_secret: bool
    credential_version: int
    credential_ends_at: Instant | None
    purges: int
    created_at: Instant
    created_by: str | None
    changed_at: Instant
    last_good_at: Instant | None
    last_error_at: Instant | None
    last_error_code: str | None
    last_error: str | None


@frozen
class UpstreamListQuery(PageQuery):
    """Selects links.

    Attributes:
        app: slug of the app whose links are listed.
    """

    app: Slug | None = None


@frozen
class NewUpstream:
    """An external registry to be linked; docs/external-registries.md says what each provider needs.

    Attributes:
        app: slug of the app.
        name: of a-z, 0-9 and `-`; unique in the app.
        provider: the company or software that runs it.
        repositories: patterns of the images that can be pulled, as the registry names them, such as `org/**`.
        url: its address, only scheme and host; the provider's own if left out.
        username: the user name that belongs to the secret.
        secret: a password, a token, or the text of a key file.
        token_hosts: other hosts, with https at port 443, that may ask for the secret.
        credential_ends: when the secret expires, `2027-01-31` or `90d`; shown in lists.
    """

    app: Slug
    name: str
    provider: Provider
    repositories: tuple[str, ...]
    url: str | None = None
    username: str | None = None
    secret: Secret | None = None
    token_hosts: tuple[str, ...] = ()
    credential_ends: When | None = None


@frozen
class UpstreamChange:
    """Changes to a link; what is left out stays (as in RFC 7396).

    Attributes:
        repositories: patterns that replace all existing ones.
        token_hosts: hosts that replace all existing ones; a host that the link does not have yet needs `secret` too.
        username: the user name of the new secret; the current one if left out.
        secret: a new secret, or the same again, which discards what was fetched with the old one; null removes it.
        credential_ends: when the secret expires.
    """

    repositories: tuple[str, ...] | None = None
    token_hosts: tuple[str, ...] | None = None
    username: str | None = None
    secret: Secret | UnsetType | None = UNSET
    credential_ends: When | None = None


@frozen
class ProbeRequest:
    """What a test of a link requests.

    Attributes:
        repository: an image as the registry names it, such as `org/api:1.2`; any tag if it has none, and an image that
            the link's patterns name if left out.
    """

    repository: str | None = None


@frozen
class ProbeStepView:
    """One step of a test.

    Attributes:
        step: `dns`, `address`, `tls`, `challenge`, `token` or `manifest`.
        ok: whether it succeeded; null if it was not tried.
        words: the result in words.
        remedy: what to do if it failed, or null.
    """

    step: str
    ok: bool | None
    words: str
    remedy: str | None


@frozen
class ProbeResult:
    """The result of a test of a link.

    Attributes:
        ok: whether every step succeeded.
        steps: in order.
    """

    ok: bool
    steps: tuple[ProbeStepView, ...]


def _view(link: UpstreamLink, health: UpstreamHealth) -> UpstreamView:
    return UpstreamView(
        id=link.id,
        name=link.name,
        app=link.app,
        team=link.team,
        provider=link.provider,
        url=link.origin.text,
        token_hosts=link.token_hosts,
        repositories=link.repositories,
        username=link.username,
        has_secret=link.sealed_secret is not None,
        credential_version=link.credential_version,
        credential_ends_at=link.credential_ends_at or health.credential_ends_at,
        purges=link.purge_count,
        created_at=link.created_at,
        created_by=link.created_by,
        changed_at=link.changed_at,
        last_good_at=health.last_good_at,
        last_error_at=health.last_error_at,
        last_error_code=health.last_error_code,
        last_error=health.last_error,
    )


def _end(text: str | None, call: AnyCall) -> datetime | None:
    return None if text is None else parse_end(text, call.now, "credential_ends")


async def _shown(use_cases: UseCases, call: AnyCall, link_id: str) -> ObjectAnswer:
    link, health = await use_cases.upstreams.show(call.actor, link_id)
    return found(link, _view(link, health))


async def _list(use_cases: UseCases, call: Call[UpstreamListQuery, NoBody]) -> ListAnswer:
    query = call.query
    page = await use_cases.upstreams.list(call.actor, app=query.app, after=query.after, limit=query.limit)
    return ListAnswer(tuple(_view(*one) for one in page.items), page.next)


async def _link(use_cases: UseCases, call: Call[NoQuery, NewUpstream]) -> ObjectAnswer:
    wanted = call.body
    terms = LinkTerms.parse(
        wanted.provider, wanted.url, wanted.username, wanted.secret, wanted.repositories, wanted.token_hosts
    )
    ends_at = _end(wanted.credential_ends, call)
    link = await use_cases.upstreams.link(wanted.app, wanted.name, terms, call.operation, ends_at)
    return created(link, _view(link, UpstreamHealth()), "upstreams", link.id)


async def _show(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    return await _shown(use_cases, call, call.path["upstream"])


async def _change(use_cases: UseCases, call: Call[NoQuery, UpstreamChange]) -> ObjectAnswer:
    wanted = call.body
    secret = wanted.secret
    change = LinkChange(
        repositories=wanted.repositories,
        token_hosts=wanted.token_hosts,
        username=wanted.username,
        secret=secret if isinstance(secret, Secret) else None,
        credential_ends_at=_end(wanted.credential_ends, call),
        anonymous=secret is None,
    )
    link = await use_cases.upstreams.set(call.path["upstream"], None, change, call.operation)
    return await _shown(use_cases, call, link.id)


async def _test(use_cases: UseCases, call: Call[NoQuery, ProbeRequest]) -> ObjectAnswer:
    steps = await use_cases.upstreams.test(call.path["upstream"], None, call.body.repository, call.operation)
    views = tuple(ProbeStepView(one.step, one.ok, one.words, one.remedy) for one in steps)
    return ObjectAnswer(ProbeResult(all(one.ok is not False for one in steps), views))


async def _purge(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    link = await use_cases.upstreams.purge(call.path["upstream"], None, call.operation)
    return await _shown(use_cases, call, link.id)


async def _unlink(use_cases: UseCases, call: Call[ConfirmQuery, NoBody]) -> ObjectAnswer:
    await use_cases.upstreams.unlink(call.path["upstream"], None, call.operation, call.query.confirm)
    return ObjectAnswer()


EXAMPLE = UpstreamView(
    id="4m7x2q9wzk1t8b3f",
    name="quay",
    app="myapp",
    team="acme",
    provider=Provider.QUAY,
    url="https://quay.io",
    token_hosts=(),
    repositories=("org/**",),
    username="org+robot",
    has_secret=True,
    credential_version=1,
    credential_ends_at=datetime(2027, 2, 25, tzinfo=UTC),
    purges=0,
    created_at=datetime(2026, 11, 27, 9, 30, tzinfo=UTC),
    created_by="8w2q6m1ztk4x9b3f",
    changed_at=datetime(2026, 11, 27, 9, 30, tzinfo=UTC),
    last_good_at=datetime(2026, 11, 27, 17, 5, tzinfo=UTC),
    last_error_at=None,
    last_error_code=None,
    last_error=None,
)

ONE = ApiErrors(not_found=("upstream_link_not_found",))
"""Errors of every endpoint that names a link."""

TERMS = ApiErrors(
    refused=(
        *(
            "pattern_invalid",
            "patterns_too_many",
            "value_missing",
            "url_invalid",
            "username_invalid",
            "upstream_address_refused",
        ),
        *("secret_invalid", "date_invalid", "date_not_in_future", "key_service_refused"),
    ),
    conflict=("key_service_refused",),
    unavailable=("signer_unavailable", "overloaded"),
)
"""Errors of a link's attributes."""

TEST_EXAMPLE = ProbeResult(
    ok=False,
    steps=(
        ProbeStepView(step="dns", ok=True, words="quay.io is resolved", remedy=None),
        ProbeStepView(
            step="address",
            ok=False,
            words="quay.io is or leads to a private address",
            remedy="use the registry's public address",
        ),
    ),
)

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("GET", "/upstreams", "listUpstreams", "List links to external registries, by app and name"),
        *(Permission.UPSTREAM_LIST, _list, UpstreamView),
        is_list=True,
        errors=PAGE_ERRORS | ApiErrors(refused=("slug_invalid", "slug_reserved"), not_found=("app_not_found",)),
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("POST", "/upstreams", "linkUpstream", "Link an external registry to an app"),
        *(Permission.UPSTREAM_LINK, _link, UpstreamView),
        asks_others=True,
        status=HTTPStatus.CREATED,
        has_etag=True,
        errors=TERMS
        | ApiErrors(
            refused=("name_invalid", "value_unexpected", "slug_invalid", "slug_reserved"),
            not_found=("app_not_found",),
            conflict=("name_taken", "app_archived", "upstreams_too_many"),
        ),
        request_example={
            "app": "myapp",
            "name": "hub",
            "provider": "dockerhub",
            "username": "acme",
            "secret": "dckr_pat_…",
            "repositories": ["acme/*"],
        },
        answer_example=EXAMPLE,
        description="The secret is sealed for this link, and never shown again.",
    ),
    Endpoint(
        *("GET", "/upstreams/{upstream}", "getUpstream", "Read a link to an external registry"),
        *(Permission.UPSTREAM_SHOW, _show, UpstreamView),
        has_etag=True,
        errors=ONE,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("PATCH", "/upstreams/{upstream}", "changeUpstream", "Change a link to an external registry"),
        *(Permission.UPSTREAM_SET, _change, UpstreamView),
        has_etag=True,
        if_match=True,
        errors=ONE | TERMS | ApiErrors(refused=("credential_needed",)),
        request_example={"repositories": ["org/api", "org/web"]},
        answer_example=EXAMPLE,
        description=(
            "After a change of the secret, nothing that was fetched with the old one is served. A stored secret is "
            "only sent to the hosts for which it was entered: a new token host needs the secret in the same request."
        ),
    ),
    Endpoint(
        *("POST", "/upstreams/{upstream}/test", "testUpstream", "Test a link to an external registry"),
        *(Permission.UPSTREAM_TEST, _test, ProbeResult),
        asks_others=True,
        is_repeatable=False,
        errors=ONE | ApiErrors(conflict=("key_service_refused",), unavailable=("signer_unavailable",)),
        request_example={"repository": "org/api:1.2"},
        answer_example=TEST_EXAMPLE,
        description=(
            "The steps are names, addresses, TLS, challenge, token and manifest, up to the first that fails. The "
            "status is 200 even if a step fails."
        ),
    ),
    Endpoint(
        *("POST", "/upstreams/{upstream}/purge", "purgeUpstream", "Serve nothing any more that was cached until now"),
        *(Permission.UPSTREAM_PURGE, _purge, UpstreamView),
        has_etag=True,
        if_match=True,
        errors=ONE,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("DELETE", "/upstreams/{upstream}", "unlinkUpstream", "End a link to an external registry"),
        *(Permission.UPSTREAM_UNLINK, _unlink),
        status=HTTPStatus.NO_CONTENT,
        if_match=True,
        errors=ONE | CONFIRM_ERRORS,
        description="Its secret is removed. If licenses in force have a pattern for it, it has to be confirmed.",
    ),
)
