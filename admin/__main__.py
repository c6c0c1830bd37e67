"""`python -m admin` is the `backups` command."""

from admin.cli import cli

cli(prog_name="backups")
