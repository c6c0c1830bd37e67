"""How the results of the parts of a check become a report."""

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from admin.account import AccountError
from admin.check.report import Administrator, Finding, Part, Report, Result


def finding(what: str) -> Finding:
    return Finding(what=what, why="y", remedy="z")


def fails_after(*results: Result, code: str = "AccessDenied") -> Iterator[Result]:
    yield from results
    raise ClientError({"Error": {"Code": code, "Message": "not you"}}, "GetRole")


def test_findings_and_administrators_are_kept_in_their_order() -> None:
    report = Report()
    report.collect(Part("the role", iter([finding("1"), Administrator("user chief")])))
    report.collect(Part("the code", iter([finding("2")])))
    assert report == Report(findings=[finding("1"), finding("2")], administrators=["user chief"])


def test_a_denied_request_ends_its_part_and_keeps_what_was_found() -> None:
    report = Report()
    report.collect(Part("the role", fails_after(finding("1"))))
    assert report == Report(
        findings=[finding("1")],
        not_checked=["the role: GetRole returned AccessDenied (not you)"],
    )


def test_a_part_within_a_part_fails_by_itself() -> None:
    report = Report()
    inner = Part("the role", fails_after(finding("2")))
    report.collect(Part("the function", iter([finding("1"), inner, finding("3")])))
    assert report.findings == [finding("1"), finding("2"), finding("3")]
    assert report.not_checked == ["the role: GetRole returned AccessDenied (not you)"]


def test_an_account_error_is_noted_too() -> None:
    def unreachable() -> Iterator[Result]:
        yield finding("1")
        raise AccountError("download failed (no route)")

    report = Report()
    report.collect(Part("the code", unreachable()))
    assert report.not_checked == ["the code: download failed (no route)"]


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId"])
def test_without_valid_credentials_the_check_ends(code: str) -> None:
    with pytest.raises(ClientError):
        Report().collect(Part("the role", fails_after(code=code)))
