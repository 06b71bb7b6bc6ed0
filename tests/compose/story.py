"""The vendor and the license holder, typing what docs/deploy.md tells them."""

import json
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from tests.compose.engine import Project
from tests.support.stack import PASSWORD, Ran

EMAIL = "me@acme.test"


@frozen
class Shop:
    """A vendor's team and a pushed image, with one customer.

    Attributes:
        project: where it is.
        name: the registry's name.
        license_file: the customer's file, as text.
    """

    project: Project
    name: str
    license_file: str

    @property
    def image(self) -> str:
        """What the license lets its holder pull."""
        return f"{self.name}/myapp/worker:1.0.1"

    @property
    def license_id(self) -> str:
        """The id in the file."""
        file: Mapping[str, Any] = json.loads(self.license_file)
        return str(file["license"]["id"])

    def login_as_vendor(self) -> None:
        """Sign in with the vendor's password."""
        _docker(self.project, "login", self.name, "-u", EMAIL, "--password-stdin", stdin=PASSWORD)

    def login_as_customer(self) -> None:
        """Sign in with the license file as the password."""
        _docker(self.project, "login", self.name, "-u", "license", "--password-stdin", stdin=self.license_file)

    def pull(self, image: str | None = None) -> Ran:
        """Pull as whoever is signed in, from the registry and not from what the engine has."""
        wanted = image or self.image
        self.project.engine.docker("image", "rm", "--force", wanted)
        return self.project.engine.docker("pull", wanted)

    def push(self, image: str) -> Ran:
        """Push the product under another name."""
        self.project.engine.docker("tag", "worker", image, check=True)
        return self.project.engine.docker("push", image)

    def still_sells(self) -> None:
        """A customer pulls, which takes every service."""
        pulled = self.pull()
        assert pulled.code == 0, pulled


def open_shop(project: Project, name: str) -> Shop:
    """Make team, apps and member, push an image of each app and give one license, signed in as its holder."""
    project.engine.make_image("worker", b"the product" * 1000)
    project.authsvc("team", "create", "acme")
    project.authsvc("app", "create", "myapp", "--team", "acme")
    project.authsvc("app", "create", "otherapp", "--team", "acme")
    project.authsvc("member", "add", EMAIL, "--team", "acme", "--role", "owner", "--password-stdin", stdin=PASSWORD)
    terms = ("--customer", "Globex", "--expires", "2031-01-31", "--contact", "sales@acme.test")
    license_file = project.authsvc("license", "create", "--app", "myapp", *terms, "--output", "-")
    shop = Shop(project, name, license_file)
    shop.login_as_vendor()
    for image in (shop.image, f"{name}/otherapp/api:1"):
        pushed = shop.push(image)
        assert pushed.code == 0, pushed
    _docker(project, "logout", name)
    shop.login_as_customer()
    return shop


def _docker(project: Project, *arguments: str, stdin: str = "") -> None:
    ran = project.engine.docker(*arguments, stdin=stdin)
    assert ran.code == 0, (arguments, ran)
