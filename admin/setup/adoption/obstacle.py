"""Something in an account that `setup` refuses until it is removed, or accepted by name."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """What the obstacle is, as a sentence, and how to remove it.

    `name` accepts it, with `--accept NAME`; None: AWS would refuse a step of `setup` or `deploy`,
    so it cannot be accepted.
    """

    what: str
    fix: str
    name: str | None = None
