"""Speeds up moto's responses by caching values that depend only on the model of AWS's API.

For each member of each structure in a response, moto computes the names that its value can have in
a result. The names depend only on the member and the class of the result. In addition, moto writes
XML with a general-purpose library, which checks each character of each name.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import moto.core.errors
import moto.core.serialize
import xmltodict
from moto.core.model import Shape, StructureShape
from moto.core.serialize import (
    AttributePickerContext,
    ResponseSerializer,
    XFormedAttributePicker,
)
from moto.core.utils import MISSING, get_value

from tests.support.replacing import replace
from tests.support.times import known_time

pick_value = ResponseSerializer.get_value
serialize_structure = ResponseSerializer._serialize_type_structure
guess_time = moto.core.serialize.parse_to_aware_datetime
as_text = xmltodict._convert_value_to_string
check_name = cache(xmltodict._validate_name)
find_errors = cache(moto.core.errors.ErrorLookupFactory)


def answer_quickly() -> None:
    """Install the faster functions in this process."""
    replace(ResponseSerializer, get_value=value_of, _serialize_type_structure=serialize_members)
    replace(
        moto.core.serialize,
        parse_to_aware_datetime=aware_time,
        xmltodict=SimpleNamespace(unparse=write_xml),
    )
    # For each error, moto reads the model of all errors of the service.
    replace(moto.core.errors, ErrorLookupFactory=find_errors)


def value_of(serializer: ResponseSerializer, value: Any, key: str, shape: Shape) -> Any:
    """Return a member's value under the first of its names that the result contains."""
    picker = serializer._value_picker
    if type(picker) is not XFormedAttributePicker:
        return pick_value(serializer, value, key, shape)
    names = names_of(shape, key, value)
    if type(value) is dict:
        found = next((value[name] for name in names if name in value), None)
    else:
        values = (get_value(value, name, MISSING) for name in names)
        found = next((each for each in values if each is not MISSING), None)
    for path, transform in picker.response_transformers.items():
        # Most transformers are for other names, so compare the name before building the path.
        if ends_with_name(path, key) and f"{'.'.join(serializer.path)}.{key}".endswith(path):
            return transform(found)
    return found


def serialize_members(
    serializer: ResponseSerializer, serialized: Any, value: Any, shape: StructureShape, key: str
) -> None:
    """Serialize a structure without trying the members that the result lacks."""
    picker = serializer._value_picker
    if type(value) is not dict or type(picker) is not XFormedAttributePicker:
        serialize_structure(serializer, serialized, value, shape, key)
        return
    wrapper = serializer.MAP_TYPE() if key else serialized
    for name, member in members_in(shape, value, tuple(picker.response_transformers)):
        serializer._serialize_structure_member(wrapper, value, member, name)
    if key:
        serializer._default_serialize(serialized, wrapper, shape, key)


def names_of(shape: Shape, key: str, value: Any) -> tuple[str, ...]:
    """Return moto's names, cached on the shape because each unknown error has a new shape."""
    known = vars(shape).setdefault("names", {})
    kind = type(value)
    if kind not in known:
        context = AttributePickerContext(obj=value, key=key, shape=shape)
        names = tuple(dict.fromkeys(XFormedAttributePicker().get_possible_keys(context)))
        if any("." in name for name in names):
            raise ValueError(f"moto would take one of these names for a path: {names}")
        known[kind] = names
    return known[kind]


def members_in(
    shape: StructureShape, value: dict[str, Any], transformed: tuple[str, ...]
) -> list[tuple[str, Shape]]:
    """Return the members that the result has or a transformer may add, in the model's order."""
    known = vars(shape).setdefault("members_in", {})
    keys = (*value, transformed)
    if keys not in known:
        for member in shape.members.values():
            member.parent = shape  # as in moto: the names depend on the parent
        known[keys] = [
            (key, member)
            for key, member in shape.members.items()
            if not value.keys().isdisjoint(names_of(member, key, value))
            or any(ends_with_name(path, key) for path in transformed)
        ]
    return known[keys]


@cache
def ends_with_name(path: str, key: str) -> bool:
    """Return whether a transformer for this path can apply to a member with this key."""
    return key.endswith(path.rpartition(".")[2])


def aware_time(value: Any) -> Any:
    """Parse a time in the format of S3 or IAM. moto guesses the format of any other time."""
    return known_time(value) or guess_time(value)


def write_xml(
    document: Mapping[str, Any],
    *,
    full_document: bool,
    pretty: bool,
    short_empty_elements: bool,
) -> str:
    """Write the same XML as xmltodict, which still writes documents that moto never produces."""
    has_one_root = len(document) == 1 and all(isinstance(v, dict) for v in document.values())
    if pretty or not has_one_root:
        return xmltodict.unparse(
            document,
            full_document=full_document,
            pretty=pretty,
            short_empty_elements=short_empty_elements,
        )
    head = ['<?xml version="1.0" encoding="utf-8"?>\n'] if full_document else []
    for name, value in document.items():
        head.extend(element(name, value, short=short_empty_elements))
    return "".join(head)


def element(name: str, value: Any, *, short: bool) -> Iterator[str]:
    """Yield the element, or an element for each item of a list."""
    check_name(name, "element")
    single = isinstance(value, str | bytes | dict) or not hasattr(value, "__iter__")
    for item in [value] if single else value:
        attributes, content = parts_of(item, short=short)
        if content or not short:
            yield f"<{name}{attributes}>{content}</{name}>"
        else:
            yield f"<{name}{attributes}/>"


def parts_of(value: Any, *, short: bool) -> tuple[str, str]:
    """Return the attributes and the content of an element."""
    if value is None:
        return "", ""
    if not isinstance(value, dict):
        return "", escape(as_text(value))
    attributes, children, text = "", [], ""
    for name, child in value.items():
        if name == "#text":
            text = escape(as_text(child)) if child is not None else ""
        elif name.startswith("@"):
            check_name(name[1:], "attribute")
            attributes += f" {name[1:]}={quoteattr('' if child is None else as_text(child))}"
        elif child != []:
            children.extend(element(name, child, short=short))
    return attributes, "".join(children) + text
