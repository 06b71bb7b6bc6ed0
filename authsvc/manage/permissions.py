"""Permissions as data: for every use case, which actors may call it and its scope.

One row is one use case. docs/isolation.md shows the rows as a table for people; tests/permission_matrix compares
every row with a table that was written by hand. :func:`permitted` connects a use case to its row, and
:meth:`authsvc.manage.actor.Actor.require` decides.
"""

import enum
from functools import partial

from attrs import frozen

from authsvc.tenancy.records import Role


class PermissionScope(enum.Enum):
    """What a permission is limited to."""

    PUBLIC = "public"
    """Anyone: the use case needs no account, or checks a secret itself."""

    OWN = "own"
    """Records of the actor: its tokens, password and sign-ins."""

    APP = "app"
    """The apps of the actor's team, within the actor's limits."""

    TEAM = "team"
    """The whole team: closed to an actor that is limited to some apps."""

    OPERATOR = "operator"
    """Only the operator of the installation."""


class AccessLevel(enum.IntEnum):
    """How much of its owner's rights a credential has at the management API."""

    NONE = 0
    """A token that is only for the registry."""

    READ = 1
    """The rights to read."""

    MANAGE = 2
    """Everything except the password, passkeys and sessions of a member."""

    FULL = 3
    """A member who signed in in person."""


@frozen
class PermissionRule:
    """Which actors may call one use case. The operator may call all.

    Attributes:
        action: what the use case does, as a phrase that completes "may not …".
        scope: that it is limited to.
        roles: of members that may call it.
        access: the lowest access level of the credential, of members and service accounts alike.
        service_accounts: what service accounts may call it on: ``APP``, ``OWN``, or None for nothing.
    """

    action: str
    scope: PermissionScope
    roles: frozenset[Role] = frozenset()
    access: AccessLevel = AccessLevel.MANAGE
    service_accounts: PermissionScope | None = None


_EVERY_ROLE = frozenset(Role)
_WRITERS = frozenset({Role.OWNER, Role.DEVELOPER})
_OWNERS = frozenset({Role.OWNER})

_public = partial(PermissionRule, scope=PermissionScope.PUBLIC, access=AccessLevel.NONE)
_operator = partial(PermissionRule, scope=PermissionScope.OPERATOR)
_own = partial(PermissionRule, scope=PermissionScope.OWN, roles=_EVERY_ROLE)
_read_app = partial(
    PermissionRule,
    scope=PermissionScope.APP,
    roles=_EVERY_ROLE,
    access=AccessLevel.READ,
    service_accounts=PermissionScope.APP,
)
_change_license = partial(
    PermissionRule, scope=PermissionScope.APP, roles=_WRITERS, service_accounts=PermissionScope.APP
)
_change_customer = partial(
    PermissionRule, scope=PermissionScope.TEAM, roles=_WRITERS, service_accounts=PermissionScope.APP
)
_change_app = partial(PermissionRule, scope=PermissionScope.APP, roles=_OWNERS)
_read_people = partial(PermissionRule, scope=PermissionScope.TEAM, roles=_EVERY_ROLE, access=AccessLevel.READ)
_change_people = partial(PermissionRule, scope=PermissionScope.TEAM, roles=_OWNERS)
_read_audit = partial(PermissionRule, scope=PermissionScope.TEAM, roles=_OWNERS, access=AccessLevel.READ)
_explain = partial(PermissionRule, scope=PermissionScope.APP, roles=_WRITERS, access=AccessLevel.READ)


@enum.unique
class Permission(enum.Enum):
    """The right to call one use case; its value is the rule."""

    TEAM_CREATE = _operator("create a team")
    TEAM_LIST = PermissionRule("see the team's settings", PermissionScope.TEAM, _OWNERS, AccessLevel.READ)
    TEAM_SHOW = PermissionRule("see a team", PermissionScope.TEAM, _OWNERS, AccessLevel.READ)
    TEAM_SET = PermissionRule("change the team's name", PermissionScope.TEAM, _OWNERS)
    APP_LIST = _read_app("list apps")
    APP_SHOW = _read_app("see an app")
    APP_USE = PermissionRule("see who uses an app", PermissionScope.APP, _WRITERS, AccessLevel.READ)
    APP_CREATE = PermissionRule("create an app", PermissionScope.TEAM, _OWNERS)
    APP_ARCHIVE = _change_app("archive an app")
    APP_REINSTATE = _change_app("reinstate an app")

    IMAGE_LIST = _read_app("list images")
    IMAGE_SHOW = _read_app("see an image")
    IMAGE_DELETE = PermissionRule("delete an image", PermissionScope.APP, _OWNERS, service_accounts=PermissionScope.APP)
    IMAGE_PREVIEW_DELETION = PermissionRule(
        "look at what deleting an image would do", PermissionScope.APP, _OWNERS, service_accounts=PermissionScope.APP
    )
    IMAGE_REPOSITORY = _read_app("see a repository")
    IMAGE_REPOSITORIES = _read_app("list repositories")
    IMAGE_SUM = _read_app("see what the images of an app add up to")

    MEMBER_LIST = _read_people("list the team's members")
    MEMBER_SHOW = _read_people("see a member")
    MEMBER_ADD = _change_people("add a member")
    MEMBER_DISABLE = _change_people("disable a member")
    MEMBER_ENABLE = _change_people("enable a member")
    MEMBER_SET_ROLE = _change_people("change a member's role")
    MEMBER_REMOVE = _change_people("remove a member")
    MEMBER_INVITE = _change_people("invite somebody to the team")
    MEMBER_RESET = _change_people("let a member set a new password")
    MEMBER_SET_PASSWORD = _own("set a password", access=AccessLevel.FULL)
    MEMBER_ACT_AS = _operator("act on behalf of a member")
    LINK_LIST = _read_people("list the team's one-time links")
    LINK_REVOKE = _change_people("take back a one-time link")
    LINK_REDEEM = _public("redeem a one-time link")

    TOKEN_CREATE = _own("create a personal token")
    TOKEN_LIST = _own("list personal tokens and sign-ins", access=AccessLevel.READ)
    TOKEN_SHOW = _own("see a personal token or a sign-in", access=AccessLevel.READ)
    TOKEN_REVOKE = _own("revoke a personal token or a sign-in")
    SIGN_IN_KEEP = _own("stay signed in", access=AccessLevel.FULL)

    SESSION_BEGIN = _own("sign in to the portal", access=AccessLevel.FULL)
    SESSION_LIST = _own("look at sessions", access=AccessLevel.FULL)
    SESSION_END = _own("end a session", access=AccessLevel.FULL)
    SESSION_END_ALL = _own("sign out everywhere", access=AccessLevel.FULL)

    PASSKEY_LIST = _own("look at passkeys", access=AccessLevel.FULL)
    PASSKEY_REGISTER = _own("register a passkey", access=AccessLevel.FULL)
    PASSKEY_RENAME = _own("rename a passkey", access=AccessLevel.FULL)
    PASSKEY_REMOVE = _own("remove a passkey", access=AccessLevel.FULL)
    PASSKEY_COUNT = _read_people("see who has passkeys")

    SERVICE_ACCOUNT_LIST = _read_people("list the team's service accounts")
    SERVICE_ACCOUNT_SHOW = _read_people("see a service account")
    SERVICE_ACCOUNT_CREATE = _change_people("create a service account")
    SERVICE_ACCOUNT_SET_GRANTS = _change_people("change a service account's grants")
    SERVICE_ACCOUNT_ROTATE = _change_people("rotate a service account's secret", service_accounts=PermissionScope.OWN)
    SERVICE_ACCOUNT_DISABLE = _change_people("disable a service account")
    SERVICE_ACCOUNT_ENABLE = _change_people("enable a service account")
    SERVICE_ACCOUNT_REVOKE = _change_people("revoke a service account")

    UPSTREAM_LIST = _read_people("list the team's upstreams")
    UPSTREAM_SHOW = _read_people("see an upstream")
    UPSTREAM_USE = _read_people("see who uses an upstream")
    UPSTREAM_LINK = _change_people("link an upstream")
    UPSTREAM_SET = _change_people("change an upstream")
    UPSTREAM_TEST = _change_people("test an upstream")
    UPSTREAM_PURGE = _change_people("purge an upstream")
    UPSTREAM_UNLINK = _change_people("unlink an upstream")

    WEBHOOK_LIST = _read_people("list the team's webhooks")
    WEBHOOK_SHOW = _read_people("see a webhook")
    WEBHOOK_DELIVERIES = _read_people("see what was sent to a webhook")
    WEBHOOK_ADD = _change_people("add a webhook")
    WEBHOOK_TEST = _change_people("test a webhook")
    WEBHOOK_SET = _change_people("change a webhook")
    WEBHOOK_ROTATE = _change_people("rotate a webhook's secret")
    WEBHOOK_DISABLE = _change_people("disable a webhook")
    WEBHOOK_ENABLE = _change_people("enable a webhook")
    WEBHOOK_REMOVE = _change_people("remove a webhook")

    CUSTOMER_LIST = _read_app("list customers")
    CUSTOMER_SHOW = _read_app("see a customer")
    CUSTOMER_LICENSES = _read_app("list the licenses of a customer")
    CUSTOMER_CREATE = _change_customer("create a customer")
    CUSTOMER_SET = _change_customer("change a customer")

    LICENSE_LIST = _read_app("list licenses")
    LICENSE_SHOW = _read_app("see a license")
    LICENSE_OPEN_APP = _read_app("see whether an app takes licenses")
    LICENSE_PREVIEW = _read_app("preview a license")
    LICENSE_PREVIEW_IMAGES = _read_app("see what a license would pull")
    LICENSE_CREATE = _change_license("create a license")
    LICENSE_CREATE_IN = _change_license("create one of many licenses")
    LICENSE_SET = _change_license("change a license")
    LICENSE_EXTEND = _change_license("extend a license")
    LICENSE_ROTATE = _change_license("rotate a license's registry token")
    LICENSE_REVOKE = _change_license("revoke a license")
    LICENSE_ARCHIVE = _change_license("archive a license")
    LICENSE_REINSTATE = _change_license("reinstate a license")
    LICENSE_DOWNLOAD = _change_license("download a license file")
    LICENSE_FILE = _change_license("write a license file")
    LICENSE_FILES = _change_license("download the files of many licenses")
    LICENSE_KEYS = _public("read the keys that verify license files")
    LICENSE_LINK_CREATE = _change_license("link to the page of a license")
    LICENSE_LINK_LIST = _change_license("look at the links to the page of a license")
    LICENSE_LINK_REVOKE = _change_license("take back a link to the page of a license")
    LICENSE_PAGE_OPEN = _public("open the page of a license by its link")
    LICENSE_PAGE_IMAGES = _public("see on it what the license pulls")
    LICENSE_PAGE_CHECK = _public("have it check images")
    LICENSE_PAGE_DOWNLOAD = _public("download the license file from it")
    LICENSE_INDEX_PROGRESS = _read_app("see whether lists are indexed")
    LICENSE_RENEW_CHECK = _read_app("check a file of new ends")
    LICENSE_RENEW = _change_license("renew licenses")
    LICENSE_IMPORT_CHECK = _read_app("check a file of licenses")
    LICENSE_IMPORT = _change_license("import licenses")

    ACTIVITY_LIST = _read_app("list activity")
    ACTIVITY_LICENSE = _read_app("see the activity of a license")
    ACTIVITY_LICENSES = _read_app("see the activity of licenses")
    ACTIVITY_CUSTOMER = _read_app("see the activity of a customer")
    ACTIVITY_APP = _read_app("see the activity of an app")
    ACTIVITY_IMAGE = _read_app("see who uses an image")
    ACTIVITY_DOWNLOADS = _read_app("see how much customers of an app downloaded")
    ACTIVITY_VERSIONS = _read_app("see which versions of an image customers run")
    ACTIVITY_UNUSED = _read_app("see which images nobody uses")

    AUDIT_LIST = _read_audit("list the audit")
    AUDIT_FOLLOW = _read_audit("follow the audit")
    AUDIT_NAMES = _read_audit("see who is named in the audit")
    AUDIT_EXPORT = _read_audit("export the audit")
    AUDIT_SEARCH = _read_audit("list exported entries of the audit")
    AUDIT_TRIMMED = _read_audit("see how far back the audit goes")
    AUDIT_REFUSALS = _explain("list refused requests")
    AUDIT_EXPLAIN = _explain("have a request explained")
    AUDIT_DECISIONS = _explain("have the decisions on a subject explained")

    KEYS_SHOW = _operator("see the installation's keys")
    KEYS_ROTATE = _operator("rotate the signing certificates")
    KEYS_ROTATE_LICENSE_KEY = _operator("rotate the license-signing key")
    KEYS_ROTATE_SEALING_KEY = _operator("rotate the sealing key")
    KEYS_PREPARE_ROOT = _operator("prepare a new root certificate")
    KEYS_SWITCH_ROOT = _operator("switch to a new root certificate")
    KEYS_DROP_OLD_ROOTS = _operator("drop old root certificates")

    @property
    def rule(self) -> PermissionRule:
        """Which actors may call it."""
        return self.value
