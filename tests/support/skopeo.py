"""skopeo with logins of its own."""

from pathlib import Path

from attrs import frozen

from tests.support.oci import Image
from tests.support.stack import Ran, Stack, run
from tests.support.tenants import Account


@frozen
class Skopeo:
    """One person's skopeo.

    Attributes:
        stack: whose registry it talks to.
        folder: of its own.
    """

    stack: Stack
    folder: Path

    def run(self, command: str, *arguments: str, stdin: str = "") -> Ran:
        """Run one command; logins are kept in this folder."""
        environ = {**self.stack.environ, "REGISTRY_AUTH_FILE": str(self.folder / "auth.json")}
        return run("skopeo", command, *arguments, environ=environ, cwd=self.folder, stdin=stdin)

    def log_in(self, account: Account) -> Ran:
        """Sign in."""
        arguments = ("--tls-verify=false", self.stack.name, "-u", account.username, "--password-stdin")
        return self.run("login", *arguments, stdin=account.password)

    def push(self, image: Image, reference: str) -> Ran:
        """Upload an image."""
        layout = self.folder / image.digest.removeprefix("sha256:")
        if not layout.exists():
            image.write_layout(layout)
        return self.run("copy", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{self.stack.name}/{reference}")

    def pull(self, reference: str) -> Ran:
        """Download an image into a new folder."""
        target = self.folder / f"pulled-{len(list(self.folder.iterdir()))}"
        return self.run("copy", "--src-tls-verify=false", f"docker://{self.stack.name}/{reference}", f"oci:{target}:x")

    def copy(self, source: str, target: str) -> Ran:
        """Copy inside the registry, which tries to mount the blobs."""
        flags = ("--src-tls-verify=false", "--dest-tls-verify=false")
        return self.run("copy", *flags, f"docker://{self.stack.name}/{source}", f"docker://{self.stack.name}/{target}")
