"""The requests and answers of the handlers of pages."""

import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

from attrs import field, frozen

from authsvc.client import Client
from authsvc.credentials.portal_sessions import SignedIn
from authsvc.errors import AuthsvcError, ConfirmationNeeded, CredentialsRefused
from authsvc.manage.actor import Actor
from authsvc.manage.operation import OPERATION_ID_LENGTH, Operation
from authsvc.outcomes import outcome_of_error
from authsvc.redaction import Secret
from authsvc.web.portal.form_body import UploadedFile
from authsvc.web.stream_sender import StreamAnswer


@frozen
class Visit:
    """A checked request for a page: a form is known to come from one of our pages.

    Attributes:
        signed_in: the signed-in member, or None.
        now: the request's one reading of the clock.
        client: the sender.
        request_id: of the request.
        names: from the path, by name.
        query: the first value of each parameter.
        form: the first value of each field.
        browser: identifies the browser's cookie.
        file: that was sent with the form, or None.
    """

    signed_in: SignedIn | None
    now: datetime
    client: Client
    request_id: str
    names: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str] = field(factory=dict, repr=False)
    browser: str = field(default="", repr=False)
    file: UploadedFile | None = None

    @property
    def user(self) -> SignedIn:
        """The signed-in member.

        Raises:
            CredentialsRefused: no member is signed in.
        """
        if self.signed_in is None:
            raise CredentialsRefused("sign in first")
        return self.signed_in

    @property
    def actor(self) -> Actor:
        """The member who is signed in, with all their rights.

        Raises:
            CredentialsRefused: no member is signed in.
        """
        return Actor.of_member(self.user.member)

    def operation(self, actor: Actor | None = None) -> Operation:
        """Begin one change, by the member who is signed in unless ``actor`` makes it.

        A form with a field ``seen``, the entity tag of a record, changes that record only if it is as the page showed
        it.
        """
        operation_id = secrets.token_hex(OPERATION_ID_LENGTH // 2)
        by = self.actor if actor is None else actor
        seen = (self.form["seen"],) if "seen" in self.form else None
        return Operation(by, self.now, operation_id, secrets.token_bytes, if_match=seen, request_id=self.request_id)

    def has_same(self, field_name: str, other: str) -> bool:
        """Whether two fields have the same value, such as a password and its repetition."""
        values = (self.form.get(name, "").encode("utf-8", "surrogatepass") for name in (field_name, other))
        return hmac.compare_digest(*values)

    def secret(self, name: str) -> Secret:
        """Return a secret field; empty when it was not sent."""
        return Secret(self.form.get(name, ""))


@frozen
class PageAnswer:
    """A page.

    Attributes:
        template: name of the file.
        values: what is in it.
        status: of the answer.
        retry_after: seconds after which a refused request may succeed, or None.
        refusal: why it was refused, for the log, or None.
    """

    template: str
    values: Mapping[str, Any] = field(factory=dict)
    status: HTTPStatus = HTTPStatus.OK
    retry_after: int | None = None
    refusal: AuthsvcError | None = field(default=None, repr=False)


def confirm_page(
    title: str, lines: Sequence[str], action: str, button: str, back: str, error: AuthsvcError | None = None
) -> PageAnswer:
    """Return a confirmation page for a permanent removal.

    Args:
        title: the action and its object.
        lines: what ends with it.
        action: where the form is sent.
        button: that sends it.
        back: where the reader came from.
        error: why it was refused; a :class:`ConfirmationNeeded` is confirmed with the next form.
    """
    values = {
        "title": title,
        "lines": lines,
        "action": action,
        "button": button,
        "back": back,
        "mark": error.mark if isinstance(error, ConfirmationNeeded) else None,
        "error": None if error is None else str(error),
    }
    return PageAnswer("confirm", values, status_of(error), refusal=error)


@frozen
class RedirectAnswer:
    """A redirect to another page, which the browser requests with GET.

    Attributes:
        to: path on this host.
        cookie: signs the browser in, when it is not None.
        signs_out: whether the browser is signed out.
    """

    to: str
    cookie: Secret | None = field(default=None, repr=False)
    signs_out: bool = False


def status_of(error: AuthsvcError | None) -> HTTPStatus:
    """Return the status of a page that shows ``error``, or that of a normal page."""
    return HTTPStatus.OK if error is None else outcome_of_error(error).status


@frozen
class DownloadAnswer:
    """A file that the browser saves.

    Attributes:
        text: of it.
        name: that it is saved as.
        media_type: of it.
    """

    text: str = field(repr=False)
    name: str
    media_type: str


PortalAnswer = PageAnswer | RedirectAnswer | DownloadAnswer | StreamAnswer
