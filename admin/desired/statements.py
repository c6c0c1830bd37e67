"""Normalizes statements of bucket policies for comparison: S3 rewrites their spelling."""

from typing import Any

from admin.desired.permissions import Document


def canonical(statement: Document) -> Document:
    """The statement in a form that is equal for equal meanings.

    S3 returns a list with one item as that item, and reorders lists. Here every value is a
    frozenset of strings, and true is "true".
    """
    return {element: _canonical(value) for element, value in statement.items()}


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return canonical(value)
    values = value if isinstance(value, list) else [value]
    return frozenset(str(item).lower() if isinstance(item, bool) else str(item) for item in values)
