"""Replaces parts of libraries for a whole process."""

from typing import Any


def replace(owner: Any, **parts: Any) -> None:
    """Replace attributes. Raises AttributeError if the library no longer has one of them."""
    for name, part in parts.items():
        getattr(owner, name)
        setattr(owner, name, part)
