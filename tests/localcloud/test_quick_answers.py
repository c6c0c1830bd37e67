"""The faster functions of the tests write the same responses as moto itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from itertools import cycle
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import moto.core.errors
import moto.core.serialize
import pytest
import xmltodict
from botocore import xform_name
from hypothesis import given
from hypothesis import strategies as st
from moto.core.exceptions import ServiceException
from moto.core.model import OperationModel, Shape
from moto.core.serialize import ResponseSerializer, XFormedAttributePicker, get_serializer_class
from moto.core.utils import get_service_model
from moto.iam.responses import IamResponse
from moto.sns.responses import SNSResponse

from tests.support import quick_answers

# The protocols that the clients in these tests use.
PROTOCOLS = {
    "s3": "rest-xml",
    "iam": "query",
    "sts": "query",
    "sns": "query",
    "cloudwatch": "query",
    "lambda": "rest-json",
    "events": "json",
    "cloudtrail": "json",
}
TRANSFORMERS = {
    "iam": IamResponse.RESPONSE_KEY_PATH_TO_TRANSFORMER,
    "sns": SNSResponse.RESPONSE_KEY_PATH_TO_TRANSFORMER,
}
TIMES = cycle(
    [
        datetime(2026, 11, 23, 3, 5, 7, tzinfo=UTC),
        datetime(2026, 11, 23, 3, 5, 7, 120_000, tzinfo=timezone(timedelta(hours=2))),
        datetime(2026, 11, 23, 3, 5, 7),  # noqa: DTZ001 - moto's times are naive
        "2026-11-23T03:05:07.000Z",
        "2026-11-23T03:05:07Z",
        "Mon, 23 Nov 2026 03:05:07 GMT",
        "2026-11-23T03:05:07+02:00",
        1795403107,
        1795403107.25,
    ]
)
TEXTS = cycle(["backups1", "", " <&>\"'é\r\n", "a+b c", "true", 7])
NAMES: dict[str, Callable[[str, Shape], str]] = {
    "as in the model": lambda key, _: key,
    "snake case": lambda key, _: xform_name(key),
    "as on the wire": lambda key, shape: shape.serialization.get("name", key),
    "of the shape": lambda _, shape: shape.name,
}


class Role(SimpleNamespace):
    """A result whose class name is a prefix of some member names, as in moto's models."""


@contextmanager
def moto_alone() -> Iterator[None]:
    with (
        patch.multiple(
            ResponseSerializer,
            get_value=quick_answers.pick_value,
            _serialize_type_structure=quick_answers.serialize_structure,
        ),
        patch.multiple(
            moto.core.serialize,
            xmltodict=xmltodict,
            parse_to_aware_datetime=quick_answers.guess_time,
        ),
        patch.object(moto.core.errors, "ErrorLookupFactory", quick_answers.find_errors.__wrapped__),
    ):
        yield


def answer(model: OperationModel, service: str, result: Any) -> Any:
    picker = XFormedAttributePicker(response_transformers=TRANSFORMERS.get(service))
    kind = get_serializer_class(service, PROTOCOLS[service])
    try:
        return kind(model, value_picker=picker).serialize(result)
    except Exception as error:  # noqa: BLE001 - moto itself fails for some results
        return repr(error)


def result_of(shape: Shape, name: Callable[[str, Shape], str], kind: Any, depth: int = 0) -> Any:
    """Return a result of this shape without every third member."""
    match shape.type_name:
        case "structure":
            if depth > 5:  # some structures contain themselves
                return kind()
            return kind(
                **{
                    name(key, member): result_of(member, name, kind, depth + 1)
                    for number, (key, member) in enumerate(shape.members.items())
                    if (number + depth) % 3
                }
            )
        case "list":
            return [result_of(shape.member, name, kind, depth + 1) for _ in range(depth % 3)]
        case "map":
            return {key: result_of(shape.value, name, kind, depth + 1) for key in ("a", "b:c")}
        case "timestamp":
            return next(TIMES)
        case "boolean":
            return depth % 2 == 0
        case "integer" | "long" | "float" | "double":
            return 10 + depth
        case "blob":
            return b"\x00all our files"
        case _:
            return next(TEXTS)


@pytest.mark.parametrize("kind", [dict, Role])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("service", PROTOCOLS)
def test_each_response_is_the_same_as_from_moto(service, name, kind):
    service_model = get_service_model(service)
    answered = 0
    for operation in service_model.operation_names:
        model = service_model.operation_model(operation)
        if model.output_shape is None or model.has_event_stream_output:
            continue
        result = result_of(model.output_shape, NAMES[name], kind)
        quick = answer(model, service, result)
        with moto_alone():
            assert quick == answer(model, service, result), operation
        answered += isinstance(quick, dict)
    assert answered


@pytest.mark.parametrize("service", PROTOCOLS)
def test_each_error_response_is_the_same_as_from_moto(service):
    service_model = get_service_model(service)
    model = service_model.operation_model(service_model.operation_names[0])
    codes = [shape.error_code for shape in service_model.error_shapes]
    assert codes
    for code in [*codes, "InvalidParameterValue"]:
        # moto would look up the code in the errors of the service that this module belongs to.
        kind = type("Refused", (ServiceException,), {"__module__": __name__, "code": code})
        error = kind("<what went wrong>")
        quick = answer(model, service, error)
        assert isinstance(quick, dict), code
        with moto_alone():
            assert quick == answer(model, service, error)


NAME = st.from_regex(r"[A-Za-z][A-Za-z0-9:.-]*", fullmatch=True)
TEXT = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
ELEMENT = st.recursive(
    TEXT,
    lambda child: (
        st.lists(child)
        | st.lists(child).map(tuple)
        | st.dictionaries(NAME | NAME.map("@".__add__) | st.just("#text"), child)
    ),
)
FLAGS = ("full_document", "short_empty_elements", "pretty")


@given(
    document=st.dictionaries(NAME, ELEMENT, min_size=1, max_size=2),
    flags=st.fixed_dictionaries({flag: st.booleans() for flag in FLAGS}),
)
def test_xml_is_the_same_as_from_xmltodict(document, flags):
    def written(write: Any) -> str:
        try:
            return write(document, **flags)
        except ValueError as error:
            return f"ValueError: {error}"

    by_xmltodict = written(xmltodict.unparse)
    assert written(quick_answers.write_xml) == by_xmltodict
