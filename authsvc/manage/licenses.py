"""Licenses: create, list, download, revoke, reinstate, archive."""

import json
from datetime import datetime, timedelta
from functools import partial

from attrs import evolve, frozen

from authsvc import license_file
from authsvc.credentials.machine_secret import ID_BYTES, MachineSecret, new_id
from authsvc.errors import Conflict, InputRefused
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.confirmation import require
from authsvc.manage.idempotency import repeatable
from authsvc.manage.license_customer import choose_customer, customer_facts, with_customer
from authsvc.manage.license_signer import LicenseSigner
from authsvc.manage.license_writer import NO_ID, NO_TOKEN, document_of, draft, replace_license
from authsvc.manage.lookup import find_app, find_license, find_open_app, find_team, require_app, require_license
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.rotation import ended, rotation_ends
from authsvc.manage.stores import Stores
from authsvc.tenancy.customers import SelectedCustomer
from authsvc.tenancy.dates import parse_end, render_instant
from authsvc.tenancy.license_filter import LicenseFilter
from authsvc.tenancy.license_update import LicenseUpdate
from authsvc.tenancy.names import parse_text
from authsvc.tenancy.pages import IndexProgress, Page, page_size
from authsvc.tenancy.records import App, License, TokenDigest, rotated
from authsvc.tenancy.terms import LicenseTerms
from authsvc.tenancy.versioned import Versioned


@frozen(eq=False, repr=False)
class Licenses:
    """Creates and changes licenses.

    A license is named by its id or its reference; the argument ``app`` narrows the search for a reference down to one
    app. Every method raises StoreUnavailable when the store does not answer.

    Attributes:
        stores: the records.
        signer: signs the files and derives their registry tokens; used only to make files.
        registry: host and port that customers log in to.
    """

    stores: Stores
    signer: LicenseSigner
    registry: str

    async def _first(self, license_id: str, operation: Operation) -> License:
        return (await find_license(self.stores, operation.actor, license_id)).record

    async def _first_with_token(self, license_id: str, operation: Operation) -> tuple[License, MachineSecret]:
        license_ = await self._first(license_id, operation)
        return license_, await self._token_of(license_)

    async def _first_with_file(self, license_id: str, operation: Operation) -> tuple[License, str]:
        license_ = await self._first(license_id, operation)
        return license_, await self._file_of(license_)

    @permitted(Permission.LICENSE_CREATE)
    @repeatable(_first_with_file)
    async def create(
        self, app: str, terms: LicenseTerms, operation: Operation, reference: str | None = None
    ) -> tuple[License, str]:
        """Return a new license and its file; ``reference`` is the vendor's own key for it.

        Raises:
            InputRefused: the license would have ended already, its file would be too long, or the reference is not
                acceptable.
            NotFound: there is no such app.
            Conflict: the app is archived, or was changed concurrently, or another license has the reference.
        """
        found = await find_open_app(self.stores, operation.actor, app)
        key = None if reference is None else parse_text(reference, "reference")
        license_, token = await self._drafted(found, terms, operation, key)
        file = await self._signed(license_, token)
        return await self._add(found, license_, terms, operation), file

    @permitted(Permission.LICENSE_OPEN_APP)
    async def open_app(self, actor: Actor, app: str) -> Versioned[App]:
        """Return the app, if licenses for it can be made.

        Raises:
            NotFound: there is no such app.
            Conflict: it is archived.
        """
        return await find_open_app(self.stores, actor, app)

    @permitted(Permission.LICENSE_CREATE_IN)
    @repeatable(_first_with_token)
    async def create_in(
        self, app: Versioned[App], terms: LicenseTerms, operation: Operation, reference: str | None = None
    ) -> tuple[License, MachineSecret]:
        """Return a new license of an open app and its registry token, with which :meth:`file_of` makes its file.

        Raises:
            InputRefused: the license would have ended already, or its file would be too long.
            NotFound: there is no such app for the actor.
            Conflict: the app was changed concurrently, or another license has the reference.
        """
        require_app(operation.actor, app.record)
        license_, token = await self._drafted(app, terms, operation, reference)
        document_of(license_, token.text.reveal())
        return await self._add(app, license_, terms, operation), token

    async def _drafted(
        self, app: Versioned[App], terms: LicenseTerms, operation: Operation, reference: str | None
    ) -> tuple[License, MachineSecret]:
        license_id = new_id(operation.entropy(ID_BYTES))
        license_ = draft(app.record, terms, license_id, operation.now, self.registry, reference)
        token = await self.signer.derive_license_token(license_id, 1)
        return evolve(license_, tokens=(TokenDigest(1, token.sha256()),)), token

    async def _add(self, app: Versioned[App], license_: License, terms: LicenseTerms, operation: Operation) -> License:
        async def write(choice: SelectedCustomer) -> License:
            made = evolve(license_, customer_id=choice.record.id)
            named = {"license": made.id, "app": made.app, "team": made.team, **customer_facts(choice)}
            await self.stores.licenses.add(made, app, operation.entry("license.created", **named), choice)
            return made

        names = (terms.customer, terms.customer_reference, terms.customer_email)
        choose = partial(choose_customer, self.stores, license_.team, *names, operation)
        return await with_customer(choose, write)

    @permitted(Permission.LICENSE_PREVIEW)
    def check(self, actor: Actor, app: Versioned[App], terms: LicenseTerms, now: datetime) -> None:
        """Check the terms of a license before it is made.

        Raises:
            InputRefused: the license would have ended already, or its file would be too long.
            NotFound: there is no such app for the actor.
        """
        require_app(actor, app.record)
        document_of(draft(app.record, terms, NO_ID, now, self.registry), NO_TOKEN)

    @permitted(Permission.LICENSE_LIST)
    async def list(
        self,
        actor: Actor,
        now: datetime,
        *,
        app: str | None = None,
        team: str | None = None,
        customer: str | None = None,
        reference: str | None = None,
        state: str | None = None,
        ends_within: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[License]:
        """Return one page of licenses. :mod:`authsvc.store.license_lists` says in which order they are.

        Args:
            actor: the caller; a list never has more than the actor sees.
            now: decides on states.
            app: slug of the only app.
            team: slug of the only team; None for all that the actor sees.
            customer: words, or beginnings of words, of the customer's name, in any order; case and accents are ignored.
            reference: the license's reference, or its beginning; case and accents are ignored.
            state: ``active``, ``expired``, ``revoked``, ``pending`` or ``archived``; None for all but archived ones.
            ends_within: a span such as ``30d``: active and pending ones that end within it, or those of ``state``.
            after: cursor of the previous page, with the same filters; None for the first.
            limit: most items, up to 100. A page may have fewer even if there is a next one.

        Raises:
            InputRefused: a filter is not acceptable; ``after`` is not a cursor of this list.
            NotFound: there is no such app or team for the actor.
        """
        found = None if app is None else (await find_app(self.stores, actor, app)).record
        owner = None if team is None else (await find_team(self.stores, actor, team)).slug
        wanted = LicenseFilter.parse(
            team=owner or (actor.team if found is None else found.team),
            app=None if found is None else found.slug,
            apps=actor.apps,
            customer=customer,
            reference=reference,
            state=state,
            ends_within=ends_within,
        )
        return await self.stores.licenses.page(wanted, after, page_size(limit), now)

    @permitted(Permission.LICENSE_INDEX_PROGRESS)
    async def index_progress(self, actor: Actor) -> IndexProgress:
        """Return the progress of building the indexes of the lists; ``actor`` is the caller."""
        return await self.stores.licenses.index_progress()

    @permitted(Permission.LICENSE_SET)
    @repeatable(_first_with_file)
    async def set(
        self, license_id: str, changes: LicenseUpdate, operation: Operation, app: str | None = None
    ) -> tuple[License, str]:
        """Change the terms of a license, and return it with its file; the registry token stays the same.

        A new customer is a known one, or one that is created with the change; its name is written into the file.

        Raises:
            InputRefused: there would be too many custom fields, or the file would be too long.
            NotFound: there is no such license for the actor.
            Conflict: it was changed concurrently, or no customer has the reference.
        """
        stored = await find_license(self.stores, operation.actor, license_id, app)
        operation.require_match(stored.record)
        changed = changes.applied(stored.record)
        if changes.customer is None and changes.customer_reference is None:
            file = await self._file_of(changed)
            return await replace_license(self.stores, stored, changed, operation), file

        async def write(choice: SelectedCustomer) -> tuple[License, str]:
            made = evolve(changed, customer=changes.customer or choice.record.name, customer_id=choice.record.id)
            file = await self._file_of(made)
            return await replace_license(
                self.stores, stored, made, operation, choice=choice, facts=customer_facts(choice)
            ), file

        names = (changes.customer, changes.customer_reference, None)
        return await with_customer(partial(choose_customer, self.stores, changed.team, *names, operation), write)

    @permitted(Permission.LICENSE_SHOW)
    async def show(self, actor: Actor, license_id: str, app: str | None = None) -> License:
        """Return one license, archived or not, by its id or its reference; ``app`` is needed if several have it.

        Raises:
            NotFound: there is no such license.
        """
        return (await find_license(self.stores, actor, license_id, app)).record

    @permitted(Permission.LICENSE_DOWNLOAD)
    async def download(self, actor: Actor, license_id: str, app: str | None = None) -> str:
        """Return the file of a license again, with the current dates and registry token.

        Raises:
            NotFound: there is no such license.
            Conflict: its token was derived under another license-token key than the one in the secrets directory.
        """
        return await self._file_of((await find_license(self.stores, actor, license_id, app)).record)

    @permitted(Permission.LICENSE_KEYS)
    async def verification_keys(self) -> str:
        """Return the key file: the public keys, retired ones too, with which customers check their files offline."""
        document = license_file.key_document(self.registry, await self.signer.license_keys())
        return f"{json.dumps(document, indent=2)}\n"

    @permitted(Permission.LICENSE_EXTEND)
    @repeatable(_first_with_file)
    async def extend(
        self, license_id: str, expires: str, operation: Operation, app: str | None = None
    ) -> tuple[License, str]:
        """Set a later or earlier end of a license, and return it with its file; the registry token stays the same.

        Raises:
            InputRefused: the end is not a date, not in the future, or before the license begins.
            NotFound: there is no such license.
            Conflict: it was changed concurrently.
        """
        stored = await find_license(self.stores, operation.actor, license_id, app)
        operation.require_match(stored.record)
        end = parse_end(expires, operation.now, "expires")
        if stored.record.not_before is not None and end <= stored.record.not_before:
            raise InputRefused(
                f"the license begins on {render_instant(stored.record.not_before)}; it must end later",
                code="period_invalid",
                field="expires",
            )
        changed = evolve(stored.record, expires_at=end)
        file = await self._file_of(changed)
        return await replace_license(self.stores, stored, changed, operation), file

    @permitted(Permission.LICENSE_ROTATE)
    @repeatable(_first_with_file)
    async def rotate(
        self,
        license_id: str,
        overlap: timedelta,
        operation: Operation,
        confirmed: str | None = None,
        app: str | None = None,
    ) -> tuple[License, str]:
        """Return the license with a new registry token, and its file; the old token still works for ``overlap``.

        Raises:
            NotFound: there is no such license.
            ConfirmationNeeded: a token that an earlier rotation gave more time would end now; without ``overlap`` no
                confirmation is needed, since every old token shall end.
            Conflict: it was changed concurrently.
        """
        stored = await find_license(self.stores, operation.actor, license_id, app)
        operation.require_match(stored.record)
        before = stored.record
        # Tokens that were issued after a backup that was restored must not become valid again.
        generation = max(before.tokens[0].generation + 1, await self.stores.licenses.generation_floor())
        digest = (await self.signer.derive_license_token(before.id, generation)).sha256()
        changed = evolve(before, tokens=rotated(before.tokens, digest, overlap, operation.now, generation))
        if overlap and before.state(operation.now) in {"active", "pending"}:
            what = f"the license {before.id} of {before.customer}"
            require(rotation_ends(what, before.tokens, changed.tokens, operation.now), confirmed)
        file = await self._file_of(changed)
        facts = {"generation": generation, "ended": ended(before.tokens, changed.tokens, operation.now)}
        return await replace_license(self.stores, stored, changed, operation, "license.rotated", facts=facts), file

    @permitted(Permission.LICENSE_REVOKE)
    @repeatable(_first)
    async def revoke(self, license_id: str, operation: Operation, app: str | None = None) -> License:
        """Refuse the license from now on. Revoking twice keeps the first time.

        Raises:
            NotFound: there is no such license.
            Conflict: it was changed concurrently.
        """
        stored = await find_license(self.stores, operation.actor, license_id, app)
        operation.require_match(stored.record)
        return await replace_license(
            self.stores, stored, evolve(stored.record, revoked_at=stored.record.revoked_at or operation.now), operation
        )

    @permitted(Permission.LICENSE_ARCHIVE)
    @repeatable(_first)
    async def archive(self, license_id: str, operation: Operation, app: str | None = None) -> License:
        """Refuse the license from now on and hide it from lists.

        Raises:
            NotFound: there is no such license.
            Conflict: it was changed concurrently.
        """
        stored = await find_license(self.stores, operation.actor, license_id, app)
        operation.require_match(stored.record)
        return await replace_license(
            self.stores,
            stored,
            evolve(stored.record, archived_at=stored.record.archived_at or operation.now),
            operation,
        )

    @permitted(Permission.LICENSE_REINSTATE)
    @repeatable(_first)
    async def reinstate(self, license_id: str, operation: Operation, app: str | None = None) -> License:
        """Undo :meth:`revoke` and :meth:`archive`.

        Raises:
            NotFound: there is no such license.
            Conflict: it was changed concurrently.
        """
        stored = await find_license(self.stores, operation.actor, license_id, app)
        operation.require_match(stored.record)
        return await replace_license(
            self.stores, stored, evolve(stored.record, revoked_at=None, archived_at=None), operation
        )

    @permitted(Permission.LICENSE_FILE)
    async def file_of(self, actor: Actor, license_: License, token: MachineSecret | None = None) -> str:
        """Return the file of a license as it is; ``token`` is its registry token, if the caller has it.

        Raises:
            InputRefused: it would be too long.
            NotFound: there is no such license for the actor.
            Conflict: its token was derived under another license-token key than the one in the secrets directory.
        """
        require_license(actor, license_)
        return await self._file_of(license_, token)

    async def _file_of(self, license_: License, token: MachineSecret | None = None) -> str:
        return await self._signed(license_, token or await self._token_of(license_))

    async def _token_of(self, license_: License) -> MachineSecret:
        newest = license_.tokens[0]
        token = await self.signer.derive_license_token(license_.id, newest.generation)
        if not token.has_digest(newest.sha256):
            raise Conflict(
                f"the registry token of license {license_.id} was made under another license-token key; put the old "
                "secrets directory back",
                code="license_token_key_changed",
            )
        return token

    async def _signed(self, license_: License, token: MachineSecret) -> str:
        document = document_of(license_, token.text.reveal())
        return license_file.file_text(document, await self.signer.sign_license(license_file.payload(document)))
