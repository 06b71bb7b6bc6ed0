"""The ``authsvc`` command."""

import sys

import click

import authsvc
from authsvc.cli.lazy_group import CommandLine
from authsvc.printable import accept_all_characters

COMMANDS = {
    "activity": ("authsvc.cli.activity", "activity_group"),
    "app": ("authsvc.cli.app", "app_group"),
    "audit": ("authsvc.cli.audit", "audit_group"),
    "backup": ("authsvc.cli.backup", "backup_command"),
    "completion": ("authsvc.cli.completion", "completion_command"),
    "customer": ("authsvc.cli.customer", "customer_group"),
    "doctor": ("authsvc.cli.doctor", "doctor_command"),
    "gc": ("authsvc.cli.garbage_collection", "gc_command"),
    "image": ("authsvc.cli.image", "image_group"),
    "init": ("authsvc.cli.stack", "init_command"),
    "key-service": ("authsvc.cli.serve", "key_service_command"),
    "keys": ("authsvc.cli.keys", "keys_group"),
    "license": ("authsvc.cli.license", "license_group"),
    "member": ("authsvc.cli.member", "member_group"),
    "migrate": ("authsvc.cli.migrate", "migrate_group"),
    "reload": ("authsvc.cli.reload", "reload_command"),
    "restore": ("authsvc.cli.backup", "restore_command"),
    "serve": ("authsvc.cli.serve", "serve_command"),
    "service-account": ("authsvc.cli.service_account", "service_account_group"),
    "status": ("authsvc.cli.status", "status_command"),
    "team": ("authsvc.cli.team", "team_group"),
    "token": ("authsvc.cli.token", "token_group"),
    "upstream": ("authsvc.cli.upstream", "upstream_group"),
    "webhook": ("authsvc.cli.webhook", "webhook_group"),
    "up": ("authsvc.cli.stack", "up_command"),
}
"""Every subcommand, with the module and the name it is found under."""


@click.group(cls=CommandLine, subcommands=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(authsvc.__version__, prog_name="authsvc")
def main() -> None:
    """Private image distribution for software vendors, in front of the stock registry."""
    accept_all_characters(sys.stdout, sys.stderr)
