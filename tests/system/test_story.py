"""The first pull: a vendor pushes and a license holder pulls, typed as the documentation says, on a real engine."""

import re
from collections.abc import Iterator

import pytest

from tests.support.docker_engine import DockerEngine
from tests.support.stack import PASSWORD, Ran, Stack, running_stack
from tests.support.terminal import type_line

pytestmark = pytest.mark.system


class Person:
    """Somebody with docker and authsvc on PATH, in one folder."""

    def __init__(self, stack: Stack, engine: DockerEngine) -> None:
        self.environ = {**stack.environ, **engine.environ, "AUTHSVC_DATA_DIR": str(stack.data_dir)}
        self.environ["PATH"] = f"{stack.command[0].rpartition('/')[0]}:{self.environ['PATH']}"
        self.folder = stack.folder

    def types(self, line: str, *answers: str, prompt: str = "") -> Ran:
        """Type a line."""
        return type_line(line, *answers, prompt=prompt, environ=self.environ, cwd=self.folder)

    def succeeds(self, line: str, *answers: str, prompt: str = "") -> str:
        """Type a line that must work; return what it said."""
        ran = self.types(line, *answers, prompt=prompt)
        assert ran.code == 0, (line, ran)
        return ran.out

    def fails(self, line: str) -> str:
        """Type a line that must be refused; return what it said."""
        ran = self.types(line)
        assert ran.code != 0, (line, ran)
        return ran.out


@pytest.fixture
def fresh() -> Iterator[Stack]:
    """Return a stack on which nobody has made anything."""
    with running_stack() as stack:
        yield stack


def test_the_story_as_typed(fresh: Stack, engine: DockerEngine) -> None:
    """A vendor pushes, a license holder pulls and gets nothing else, and a revoked license says why."""
    name = fresh.name
    said = fresh.out.read_text()
    engine.make_image("worker", b"the product")
    person = Person(fresh, engine)

    def printed(line: str) -> str:
        """Return ``line`` when the first start has told it, spaces and comments aside."""
        told = re.sub(r"\s+", " ", said.replace("\\\n", ""))
        assert line in told, f"the first start did not say: {line}"
        return line

    # The vendor.
    person.succeeds(printed("authsvc team create acme"))
    person.succeeds(printed("authsvc app create myapp --team acme && authsvc app create otherapp --team acme"))
    person.succeeds(printed("authsvc member add me@acme.test --team acme --role owner --password-stdin"), PASSWORD)
    assert "Login Succeeded" in person.succeeds(
        printed(f"docker login {name} -u me@acme.test"), PASSWORD, prompt="Password:"
    )
    person.succeeds(printed(f"docker tag worker {name}/myapp/worker:1.0.1"))
    assert re.search(
        r"1\.0\.1: digest: sha256:[0-9a-f]{64}", person.succeeds(printed(f"docker push {name}/myapp/worker:1.0.1"))
    )
    person.succeeds(f"docker tag worker {name}/otherapp/api:1 && docker push {name}/otherapp/api:1")
    created = person.succeeds(
        printed(
            'authsvc license create --app myapp --customer "Globex" --expires 2031-01-31 '
            "--contact sales@acme.test --output globex.license.json"
        )
    )
    until = r"until 2031-01-31T00:00:00Z \(its last day is 2031-01-30\)"
    assert re.search(rf"license (\S+) of Globex for myapp {until}; wrote globex", created)

    # The license holder.
    person.succeeds(printed(f"docker logout {name} && docker rmi {name}/myapp/worker:1.0.1"))
    login = printed(f"docker login {name} -u license --password-stdin < globex.license.json")
    assert "Login Succeeded" in person.succeeds(login)
    pull = printed(f"docker pull {name}/myapp/worker:1.0.1")
    assert f"Downloaded newer image for {name}/myapp/worker:1.0.1" in person.succeeds(pull)
    person.succeeds(printed(f"docker tag worker {name}/myapp/worker:evil"))
    assert "denied: requested access to the resource is denied" in person.fails(
        printed(f"docker push {name}/myapp/worker:evil")
    )
    assert "denied: requested access to the resource is denied" in person.fails(
        printed(f"docker pull {name}/otherapp/api:1")
    )

    # The vendor again.
    listed = person.succeeds(printed("authsvc license list --app myapp"))
    (license_id,) = re.findall(r"^(\S+)\s+Globex", listed, re.MULTILINE)
    assert license_id in created
    assert printed("authsvc license revoke ID")
    assert person.succeeds(f"authsvc license revoke {license_id}") == f"license {license_id} of Globex is revoked\n"
    assert re.search(
        rf"denied: license {license_id} of Globex was revoked on \d{{4}}-\d\d-\d\d \d\d:\d\d UTC; "
        r"contact sales@acme\.test \(request [0-9a-f]{16}\)",
        person.fails(pull),
    )
    person.succeeds(f"authsvc license reinstate {license_id}")
    assert "Image is up to date" in person.succeeds(pull)
