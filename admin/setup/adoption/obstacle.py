"""Something in an account that makes `setup` refuse, until it is gone or accepted by its name."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """What is in the way, as a sentence, and what a person can do about it.

    `name` accepts it, with `--accept NAME`; None: AWS would refuse a step of `setup` or `deploy`,
    so nobody can accept it.
    """

    what: str
    fix: str
    name: str | None = None
