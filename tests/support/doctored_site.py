"""An installation behind a proxy that a test breaks, and further registries with a configuration that it breaks."""

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import frozen

from authsvc.doctor.certificate_check import TrustedAuthorities
from authsvc.doctor.finding import Diagnosis
from authsvc.doctor.outside_diagnosis import examine_outside
from authsvc.doctor.push_checks import PushRequest
from authsvc.public_url import parse_public_url
from authsvc.redaction import Secret
from tests.support.ports import free_port
from tests.support.proxy_in_front import proxy_in_front
from tests.support.real_registry import INSTALLED, SocketConnection, serving
from tests.support.stack import PASSWORD, Stack, running_stack, short_folder
from tests.support.tenants import Account, make_member, make_team, unique
from tests.support.upstream_tls import CertificateFiles, UpstreamAuthority

Changes = Mapping[str, str]

SHORT_SILENCE = 1.0
"""Seconds of silence that a test waits for: one that expects it cannot fail by waiting too short."""


@frozen
class Site:
    """A running installation whose public address is that of a proxy.

    Attributes:
        stack: that runs behind it.
        port: of the proxy.
        authority: that the doctor trusts.
        certificate: that is good.
        app: with the repository to push to.
        member: who may push there.
    """

    stack: Stack
    port: int
    authority: UpstreamAuthority
    certificate: CertificateFiles
    app: str
    member: Account

    @property
    def url(self) -> str:
        """The public URL."""
        return f"https://localhost:{self.port}"

    @contextmanager
    def behind(
        self,
        changes: Changes | None = None,
        *,
        tls: bool = True,
        certificate: CertificateFiles | None = None,
        registries: tuple[Changes, ...] = (),
    ) -> Iterator[None]:
        """Run the proxy with ``changes``, and registries with changed configurations in place of the stack's own."""
        with ExitStack() as stack:
            sockets = tuple(stack.enter_context(self.registry(changes)) for changes in registries)
            shown = (certificate or self.certificate) if tls else None
            stack.enter_context(proxy_in_front(self.port, self.stack.port, shown, changes or {}, sockets))
            yield

    @contextmanager
    def registry(self, changes: Changes, storage: Path | None = None) -> Iterator[str]:
        """Run another registry with the stack's configuration and ``changes``; yield its socket."""
        folder = Path(tempfile.mkdtemp(prefix="asvreg-"))
        text = (self.stack.data_dir / "config/registry.yml").read_text()
        own = {str(self.stack.data_dir / "run/registry.sock"): str(folder / "r.sock")}
        if storage is None:
            own[str(self.stack.data_dir / "registry")] = str(folder / "storage")
        for old, new in {**own, **changes}.items():
            assert old in text, (old, text)
            text = text.replace(old, new)
        (folder / "registry.yml").write_text(text)
        with serving(INSTALLED, folder, lambda: _answers(folder / "r.sock")):
            yield str(folder / "r.sock")

    def examine(
        self,
        url: str | None = None,
        *,
        push: str | None = None,
        password: str = PASSWORD,
        seconds: float = 0,
        clock_ahead: timedelta = timedelta(),
        silence: float = SHORT_SILENCE,
    ) -> Diagnosis:
        """Return what is found at ``url``, by default the public URL; ``push`` is a repository of the app."""
        request = None
        if push is not None:
            request = PushRequest(self.member.username, Secret(password), f"{self.app}/{push}", 2, seconds)
        address, trusted = parse_public_url(url or self.url), TrustedAuthorities(self.authority.file)
        return asyncio.run(
            examine_outside(address, trusted, lambda: datetime.now(UTC) + clock_ahead, request, silence)
        )  # fmt: skip


def _answers(path: Path) -> bool:
    connection = SocketConnection(path)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def running_site(**settings: str) -> Iterator[Site]:
    """Run an installation without its proxy."""
    port = free_port()
    options = ("--workers", "1", "--public-url", f"https://localhost:{port}")
    with short_folder() as folder, running_stack(options=options, **settings) as stack:
        authority = UpstreamAuthority.make(folder)
        app = unique("app")
        member = make_member(stack, make_team(stack, app), "owner")
        yield Site(stack, port, authority, authority.issue(days=90), app, member)
