"""Shows what a change of `setup` replaces."""

import json
import textwrap
from datetime import datetime
from typing import Any

from admin.setup.plan import Change

LONGEST = 300


def was(change: Change) -> str | None:
    """What the account has now and will lose, on one line; None if the change only adds."""
    desired, actual = change.requirement.desired, change.actual
    match actual:
        case _ if actual is None or desired is None:
            return None
        case str():
            return actual
        case list():
            lost: Any = [entry for entry in actual if entry not in desired]
        case _:
            lost = {
                name: value
                for name, value in actual.items()
                if name not in desired or desired[name] != value
            }
    return _compact(lost) if lost else None


def _compact(value: Any) -> str:
    text = json.dumps(value, default=datetime.isoformat)
    return textwrap.shorten(text, LONGEST, placeholder=" …")
