"""Exit statuses of the command `backups`; cron jobs and monitoring rely on them."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses other than 0, which means that all is fine."""

    SOMETHING_IS_WRONG = 1
    USED_WRONGLY = 2
    COULD_NOT_FIND_OUT = 3
