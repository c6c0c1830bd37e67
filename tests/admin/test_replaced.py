"""How the plan of `setup` shows the values that it replaces."""

from typing import Any

import pytest

from admin.desired.requirement import Kind, Requirement
from admin.setup.plan import Change
from admin.setup.replaced import LONGEST, was

OURS = {"ID": "immutable-backups-expire", "Expiration": {"Days": 400}}
OLD = {"ID": "immutable-backups-expire", "Expiration": {"Days": 30}}


@pytest.mark.parametrize(
    ("actual", "desired", "said"),
    [
        pytest.param(None, "Enabled", None, id="nothing was there"),
        pytest.param("aws:kms", "AES256", "aws:kms", id="a word"),
        pytest.param(
            {"mode": "GOVERNANCE", "days": 7},
            {"mode": "GOVERNANCE", "days": 30},
            '{"days": 7}',
            id="only what differs",
        ),
        pytest.param(
            {"days": 7, "own": 1}, {"days": 7}, '{"own": 1}', id="a value of unknown form"
        ),
        pytest.param(
            [OLD, {"ID": "a"}],
            [{"ID": "a"}, OURS],
            '[{"ID": "immutable-backups-expire", "Expiration": {"Days": 30}}]',
            id="an entry",
        ),
        pytest.param([OURS], [OURS, OLD], None, id="an entry is only added"),
    ],
)
def test_a_replaced_value_is_shown_on_one_line(actual: Any, desired: Any, said: str | None) -> None:
    assert was(change(actual, desired)) == said


def test_a_long_document_is_cut() -> None:
    sentence = was(change({"Statement": ["word"] * 1000}, {}))
    assert sentence
    assert len(sentence) <= LONGEST
    assert sentence.endswith(" …")


def change(actual: Any, desired: Any) -> Change:
    requirement = Requirement(
        kind=Kind.VERSIONING, resource="b", desired=desired, summary="b: do", why="Because."
    )
    return Change(requirement=requirement, actual=actual)
