"""Commands of every tool with the values of one license, ready to be pasted."""

import shlex

from attrs import frozen

USER = "license"
"""User name in the commands; the file is the password, and the name does not matter."""

TOOLS_FILE = "authsvc-license.pyz"


@frozen
class ToolCommand:
    """One command.

    Attributes:
        words: what it does.
        command: to be pasted.
    """

    words: str
    command: str


@frozen
class Tool:
    """A tool that pulls images.

    Attributes:
        key: names it in the page.
        title: for people.
        steps: its commands, in order.
    """

    key: str
    title: str
    steps: tuple[ToolCommand, ...]


def commands(host: str, app: str, file: str, keys: str, image: str) -> tuple[Tool, ...]:
    """Return the commands of every tool.

    Args:
        host: of the registry, with the port.
        app: slug.
        file: name of the license file.
        keys: name of the file with the verification keys.
        image: an image of the app, with host and tag.
    """
    license_file, tools = shlex.quote(file), f"python3 {TOOLS_FILE}"
    sign_in, secret = f"login {host} -u {USER} --password-stdin", f"{app}-pull"
    archive = f"{image.rpartition('/')[2].replace(':', '-')}.tar"
    account = f'{{"imagePullSecrets":[{{"name":"{secret}"}}]}}'
    windows_file = "'" + f".\\{file}".replace("'", "''") + "'"
    return (
        Tool(
            *("docker", "docker on Linux or macOS"),
            (ToolCommand("Sign in", f"docker {sign_in} < {license_file}"), ToolCommand("Pull", f"docker pull {image}")),
        ),
        Tool(
            *("windows", "docker on Windows (PowerShell)"),
            (
                ToolCommand("Sign in", f"Get-Content -Raw {windows_file} | docker {sign_in}"),
                ToolCommand("Pull", f"docker pull {image}"),
            ),
        ),
        Tool(
            *("podman", "podman"),
            (ToolCommand("Sign in", f"podman {sign_in} < {license_file}"), ToolCommand("Pull", f"podman pull {image}")),
        ),
        Tool(
            *("kubernetes", "Kubernetes"),
            (
                ToolCommand(
                    "Make a pull secret in the namespace",
                    f"{tools} pull-secret --namespace default --name {secret} {license_file} | kubectl apply -f -",
                ),
                ToolCommand(
                    "Let its pods use it", f"kubectl patch serviceaccount default --namespace default -p '{account}'"
                ),
            ),
        ),
        Tool(
            *("containerd", "containerd"),
            (ToolCommand("Pull", f'ctr images pull --user "{USER}:$({tools} token {license_file})" {image}'),),
        ),
        Tool(
            *("offline", "Without a connection"),
            (
                ToolCommand("Sign in where there is a connection", f"skopeo {sign_in} < {license_file}"),
                ToolCommand(
                    "Copy the image into a file", f"skopeo copy docker://{image} docker-archive:{archive}:{image}"
                ),
                ToolCommand("Carry the file over, and load it", f"docker load --input {archive}"),
            ),
        ),
        Tool(
            *("verify", "Verify the license file"),
            (ToolCommand("Works offline", f"{tools} verify --key {shlex.quote(keys)} {license_file}"),),
        ),
    )
