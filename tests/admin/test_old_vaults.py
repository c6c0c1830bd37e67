"""The requests of `backups status` and `backups list` for a vault with ten years of backups."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from admin.account import Account, isolated_session
from admin.fast_lists import with_fast_lists
from admin.listing.command import ListOptions, list_backups
from admin.status.command import show_status
from admin.stored.when import When
from benchmarks.commands import ModelTarget
from benchmarks.model import Dated, Model, Request
from chalicelib.policy.file import parse_policy
from tests.support.project import STAGE

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NIGHTLY, HOURLY = ("%Y-%m-%d.tar.gz.gpg", DAY), ("%Y-%m-%d.%H.sql.gz.gpg", HOUR)
BOTH = (NIGHTLY, HOURLY)
SERVERS = ("web1", "web2")


@dataclass
class OldVault:
    """The benchmarks' model of S3, without a server: backups of this many days, none missing."""

    days: int
    rules: Sequence[tuple[str, timedelta]]
    requests: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._model = Model()
        for server in SERVERS:
            for pattern, apart in self.rules:
                number = self.days * DAY // apart
                name = f"{server}/{pattern}"
                self._model.dated.append(
                    Dated(bucket="backups2", pattern=name, number=number, apart=apart, now=NOW)
                )

    def target(self) -> ModelTarget:
        """The target of a new session."""
        core = with_fast_lists(isolated_session())
        core.register("before-send", self._answer)
        session = boto3.Session(
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            region_name="us-east-1",
            botocore_session=core,
        )
        account = Account(session=session, endpoint="http://model")
        rules = "".join(
            f'[[rule]]\nupload = "backup{number}"\nstore_as = "{pattern}"\n'
            for number, (pattern, _) in enumerate(self.rules)
        )
        policy = parse_policy(f'timezone = "Etc/UTC"\nservers = {list(SERVERS)}\n{rules}')
        return ModelTarget(account=account, stage=STAGE, policy=policy)

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        url = urlsplit(request.url)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        response = self._model.respond(
            Request(
                method=request.method,
                bucket=bucket,
                key=key,
                query=dict(parse_qsl(url.query, keep_blank_values=True)),
                headers={},
            )
        )
        self.requests[response.operation] += 1
        return AWSResponse(request.url, response.status, {}, _Raw(response.body))


class _Raw:
    def __init__(self, body: str) -> None:
        self._body = body

    def stream(self, **_: Any) -> Any:
        yield self._body.encode()


def status(days: int) -> Counter[str]:
    vault = OldVault(days, BOTH)
    # The vault's settings differ from those that were recorded.
    with pytest.raises(SystemExit):
        show_status(vault.target(), rule=None, server=None, now=NOW, as_json=False)
    return vault.requests


def test_a_status_requests_no_more_of_an_old_vault(capsys: pytest.CaptureFixture[str]) -> None:
    old = status(3652)
    # Fourteen days of hourly backups: the last nightly one is not due yet.
    assert capsys.readouterr().out.count("o" * 14) == len(SERVERS)
    assert old == status(50)
    # The recent backups of each key, and incoming twice, for two reasons.
    assert old["list_object_versions"] == 3 * len(SERVERS) * len(BOTH)
    # The locks of the last day's backups, at most 14 per key, and of the newest backup of each key.
    assert old["get_object_retention"] == (14 + len(BOTH)) * len(SERVERS)


def test_a_list_of_ten_years_requests_each_page_once(capsys: pytest.CaptureFixture[str]) -> None:
    vault = OldVault(3652, [NIGHTLY])
    since = When(moment=NOW - 3652 * DAY)
    list_backups(vault.target(), ListOptions(since=since), now=NOW)
    assert capsys.readouterr().out.count("STANDARD") == 3652 * len(SERVERS)
    # A page contains 1,000 names.
    assert vault.requests == {"list_object_versions": 4 * len(SERVERS)}


def test_a_list_of_the_last_days_is_one_request_for_each_key() -> None:
    vault = OldVault(3652, BOTH)
    list_backups(vault.target(), ListOptions(), now=NOW)
    assert vault.requests == {"list_object_versions": len(SERVERS) * len(BOTH)}
