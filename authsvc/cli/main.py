"""The ``authsvc`` command. A subcommand's module is imported when it is called, so that ``--help`` is quick."""

import importlib

import click
from typing_extensions import override

import authsvc

COMMANDS = {
    "app": ("authsvc.cli.app", "app_group"),
    "audit": ("authsvc.cli.audit", "audit_group"),
    "init": ("authsvc.cli.stack", "init_command"),
    "key-service": ("authsvc.cli.serve", "key_service_command"),
    "keys": ("authsvc.cli.keys", "keys_group"),
    "license": ("authsvc.cli.license", "license_group"),
    "member": ("authsvc.cli.member", "member_group"),
    "reload": ("authsvc.cli.reload", "reload_command"),
    "serve": ("authsvc.cli.serve", "serve_command"),
    "service-account": ("authsvc.cli.service_account", "service_account_group"),
    "team": ("authsvc.cli.team", "team_group"),
    "token": ("authsvc.cli.token", "token_group"),
    "up": ("authsvc.cli.stack", "up_command"),
}
"""Every subcommand, with the module and the name it is found under."""


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is wanted."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(authsvc.__version__, prog_name="authsvc")
def main() -> None:
    """Private image distribution for software vendors, in front of the stock registry."""
