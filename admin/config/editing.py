"""Sets a value in JSON text and leaves everything else as it was written."""

import json
import re
from dataclasses import dataclass
from json import JSONDecoder
from typing import Any

_JSON = JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True)
class _Member:
    """Where the value of an object's member begins and ends in the text."""

    start: int
    end: int


def with_value(text: str, path: tuple[str, ...], value: Any) -> str:
    """The JSON text of an object with `value` at `path`; objects missing on the way are added."""
    start = _after_space(text, 0)
    for depth, name in enumerate(path):
        members = _members(text, start)
        if name not in members:
            for missing in reversed(path[depth + 1 :]):
                value = {missing: value}
            return _inserted(text, start, members, name, value)
        start, end = members[name].start, members[name].end
    return text[:start] + _written(text, start, value) + text[end:]


def _members(text: str, start: int) -> dict[str, _Member]:
    """The members of the object that begins at `start`."""
    members = {}
    index = _after_space(text, start + 1)
    while text[index] != "}":
        name, index = _JSON.raw_decode(text, index)
        value = _after_space(text, _after_space(text, index) + 1)
        _, end = _JSON.raw_decode(text, value)
        members[name] = _Member(value, end)
        index = _after_space(text, end)
        if text[index] == ",":
            index = _after_space(text, index + 1)
    return members


def _inserted(text: str, start: int, members: dict[str, _Member], name: str, value: Any) -> str:
    """The text with a new last member of the object that begins at `start`."""
    first = _after_space(text, start + 1)
    if members:
        space = text[start + 1 : first]
        index = max(member.end for member in members.values())
        before, after = f",{space or ' '}", text[index:]
    else:
        index, line = start + 1, f"{_line_end(text)}{_indentation(text, start)}"
        before, after = f"{line}{_unit(text)}", f"{line}{text[first:]}"
    text = f"{text[:index]}{before}{json.dumps(name)}: "
    return text + _written(text, len(text), value) + after


def _written(text: str, index: int, value: Any) -> str:
    """The value as written at `index`, with the indentation of the text."""
    indent = _unit(text) if "\n" in text else None
    written = json.dumps(value, indent=indent, ensure_ascii=False)
    return written.replace("\n", f"{_line_end(text)}{_indentation(text, index)}")


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _unit(text: str) -> str:
    """The indentation of the first member of the outermost object."""
    start = text.index("{") + 1
    return text[start : _after_space(text, start)].rpartition("\n")[2]


def _indentation(text: str, index: int) -> str:
    """The indentation of the line with this index."""
    line = text.rfind("\n", 0, index) + 1
    return text[line : _after_space(text, line)]


def _after_space(text: str, index: int) -> int:
    space = _SPACE.match(text, index)
    return space.end() if space else index
