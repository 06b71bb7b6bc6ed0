"""Prints the next commands to enter (the quickstart), with the values of this installation."""

import ipaddress
import shlex
from pathlib import Path

from authsvc.listen_address import ListenAddress
from authsvc.public_url import PublicUrl

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
"""Hosts with which docker speaks plain http unasked (daemon option ``insecure-registries``)."""


def first_start(public_url: PublicUrl, data_dir: Path, scripts: Path | None) -> str:
    """Return the steps from an empty installation to a revoked license.

    Args:
        public_url: the registry's name.
        data_dir: that the second terminal needs to find the stack.
        scripts: folder of the ``authsvc`` command when it is not on PATH.
    """
    name = public_url.authority
    return f"""\
In a second terminal:

{_settings(data_dir, scripts)}
  authsvc team create acme
  authsvc app create myapp --team acme && authsvc app create otherapp --team acme
  authsvc member add me@acme.test --team acme --role owner --password-stdin
  docker login {name} -u me@acme.test
  docker tag worker {name}/myapp/worker:1.0.1
  docker push {name}/myapp/worker:1.0.1
  authsvc license create --app myapp --customer "Globex" --expires 2031-01-31 --contact sales@acme.test \\
      --output globex.license.json

As the license holder:

  docker logout {name} && docker rmi {name}/myapp/worker:1.0.1
  docker login {name} -u license --password-stdin < globex.license.json
  docker pull {name}/myapp/worker:1.0.1        # works
  docker tag worker {name}/myapp/worker:evil
  docker push {name}/myapp/worker:evil         # denied
  docker pull {name}/otherapp/api:1            # denied

As the vendor again:

  authsvc license list --app myapp             # shows the id
  authsvc license revoke ID                    # from now on docker pull is denied, and says why
  authsvc license reinstate ID                 # lets the license in again

{_other_clients(public_url)}"""


def later_start(data_dir: Path, scripts: Path | None) -> str:
    """Return the settings for a second terminal, without the steps."""
    return f"In a second terminal:\n\n{_settings(data_dir, scripts)}\n  authsvc --help\n"


def _settings(data_dir: Path, scripts: Path | None) -> str:
    lines = [f"  export AUTHSVC_DATA_DIR={shlex.quote(str(data_dir))}"]
    if scripts is not None:
        lines.insert(0, f"  export PATH={shlex.quote(str(scripts))}:$PATH")
    return "\n".join(lines)


def _other_clients(public_url: PublicUrl) -> str:
    name = public_url.authority
    insecure = public_url.scheme == "http"
    flag = " --tls-verify=false" if insecure else ""
    copy_flag = " --dest-tls-verify=false" if insecure else ""
    lines = [
        "With podman or skopeo instead of docker:",
        "",
        f"  podman login{flag} {name} -u me@acme.test",
        f"  podman push{flag} worker {name}/myapp/worker:1.0.1",
        f"  podman login{flag} {name} -u license --password-stdin < globex.license.json",
        f"  podman pull{flag} {name}/myapp/worker:1.0.1",
        f"  skopeo login{flag} {name} -u me@acme.test",
        f"  skopeo copy{copy_flag} oci-archive:worker.tar docker://{name}/myapp/worker:1.0.1",
        f"  skopeo inspect{flag} docker://{name}/myapp/worker:1.0.1",
    ]
    if insecure and not name.startswith(_LOCAL):
        lines += [
            "",
            f"This address is plain http: docker uses it only with {name} in its `insecure-registries`.",
        ]
    return "\n".join([*lines, ""])


def exposure_warning(listen: ListenAddress, public_url: PublicUrl) -> str | None:
    """Return a warning if other machines can reach the service over plain http, or None.

    Args:
        listen: the address that is bound.
        public_url: what clients type, and what licenses name.
    """
    if public_url.scheme != "http" or ipaddress.ip_address(listen.host).is_loopback:
        return None
    return (
        f"warning: {listen.authority} accepts plain http from other machines, so passwords and license files cross "
        f"the network unencrypted, and licenses will name {public_url.authority}; put TLS in front, and give its "
        "address with --public-url https://registry.example.com"
    )
