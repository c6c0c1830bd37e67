"""Exit statuses of the command `backups`, which cron jobs and monitoring rely on."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import click

from admin.account import AccountError, translated_errors
from admin.stage import StageError
from chalicelib.policy.rules import PolicyError


class ExitStatus(IntEnum):
    """Exit statuses other than 0, which means that all is fine."""

    SOMETHING_IS_WRONG = 1
    USED_WRONGLY = 2
    COULD_NOT_FIND_OUT = 3
    # The shells' status of a program that Ctrl-C ended.
    INTERRUPTED = 130


class Refused(Exception):
    """The command refuses; the message says why, and what to do."""


@contextmanager
def exit_statuses() -> Iterator[None]:
    """Turn errors into one sentence on stderr and the exit status that belongs to them."""
    try:
        with translated_errors():
            yield
    except (PolicyError, StageError, Refused) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(ExitStatus.USED_WRONGLY)
    except AccountError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(ExitStatus.COULD_NOT_FIND_OUT)
