"""``authsvc license``."""

import click

from authsvc.cli.lazy_group import LazyGroup

COMMANDS = {
    "archive": ("authsvc.cli.license_state", "archive"),
    "create": ("authsvc.cli.license_create", "create"),
    "download": ("authsvc.cli.license_reissue", "download"),
    "extend": ("authsvc.cli.license_reissue", "extend"),
    "import": ("authsvc.cli.license_import", "import_command"),
    "link": ("authsvc.cli.license_link", "link_command"),
    "list": ("authsvc.cli.license_list", "list_command"),
    "reinstate": ("authsvc.cli.license_state", "reinstate"),
    "renew": ("authsvc.cli.license_renewal", "renew_command"),
    "revoke": ("authsvc.cli.license_state", "revoke"),
    "rotate": ("authsvc.cli.license_reissue", "rotate"),
    "set": ("authsvc.cli.license_set", "set_command"),
    "show": ("authsvc.cli.license_state", "show"),
}
"""Every subcommand, with the module and the name it is found under."""


@click.group("license", cls=LazyGroup, subcommands=COMMANDS)
def license_group() -> None:
    """Licenses: a customer's right to pull one app's images until it ends."""
