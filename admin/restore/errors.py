"""Why a backup is not restored."""

from admin.exit_status import ExitStatus


class NotRestoredError(Exception):
    """The backup is missing, replaced or damaged; the message says what to do."""

    status = ExitStatus.SOMETHING_IS_WRONG


class NotFoundOutError(NotRestoredError):
    """The backup could not be read, or not be verified; it may be fine."""

    status = ExitStatus.COULD_NOT_FIND_OUT
