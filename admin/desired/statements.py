"""Statements of bucket policies as they are compared: S3 shows them in a spelling of its own."""

from typing import Any

from admin.desired.permissions import Document


def canonical(statement: Document) -> Document:
    """The statement as S3 understands it, however it is spelled.

    S3 shows a list of one as its only item, and lists in an order of its own. Here every value is
    a frozenset of strings, and true is "true".
    """
    return {element: _canonical(value) for element, value in statement.items()}


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return canonical(value)
    values = value if isinstance(value, list) else [value]
    return frozenset(str(one).lower() if isinstance(one, bool) else str(one) for one in values)
