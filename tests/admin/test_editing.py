"""Sets values in JSON text and keeps the rest exactly as it was written."""

import json
from typing import Any

import pytest

from admin.config.editing import with_value

TEXT = """{
    "of all stages": ["é", 1, {"x": null}],
    "stages": {
        "prod": {"lock":"none", "list": [
            1
        ]},
        "dev": {}
    }
}
"""


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        pytest.param(("stages", "prod", "lock"), "x", '"lock":"none"', '"lock":"x"', id="replaced"),
        pytest.param(
            ("stages", "prod", "a"), "x", "\n        ]},", '\n        ], "a": "x"},', id="on a line"
        ),
        pytest.param(
            ("stages", "dev", "env", "a"),
            "ü",
            "{}",
            '{\n            "env": {\n                "a": "ü"\n            }\n        }',
            id="into an empty object",
        ),
        pytest.param(
            ("added",),
            {"a": 1},
            "\n    }\n}",
            '\n    },\n    "added": {\n        "a": 1\n    }\n}',
            id="at the end",
        ),
    ],
)
def test_only_the_value_changes(path: tuple[str, ...], value: Any, old: str, new: str) -> None:
    edited = with_value(TEXT, path, value)
    assert edited == TEXT.replace(old, new)
    found = json.loads(edited)
    for name in path:
        found = found[name]
    assert found == value


def test_line_ends_stay_as_they_are() -> None:
    windows = TEXT.replace("\n", "\r\n")
    for path in (("stages", "dev", "env", "a"), ("stages", "prod", "lock"), ("added",)):
        edited = with_value(TEXT, path, {"a": [1]})
        assert with_value(windows, path, {"a": [1]}) == edited.replace("\n", "\r\n")


@pytest.mark.parametrize("text", ["{}", '{"x":1}', "{\n}", '\n{"a": {}}', '{\t"a": {"b": 2}}\n'])
def test_text_of_any_shape_stays_json(text: str) -> None:
    edited = json.loads(with_value(text, ("a", "b"), {"c": [1]}))
    assert edited == {**json.loads(text), "a": {"b": {"c": [1]}}}
