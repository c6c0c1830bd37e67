"""What the `backups` command ends with: a promise to cron jobs and monitoring."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """Why a command did not end with 0, which says that all is fine."""

    SOMETHING_IS_WRONG = 1
    USED_WRONGLY = 2
    COULD_NOT_FIND_OUT = 3
