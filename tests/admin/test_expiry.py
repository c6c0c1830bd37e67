"""What lifecycle rules would expire, counted as S3 does, even versions under delete markers."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto.s3.models import FakeDeleteMarker, s3_backends

from admin.account import Account
from admin.setup.adoption.expiry import (
    StoredVersion,
    applies,
    compare,
    expires_at,
    size_in_words,
    stored_versions,
)
from localcloud.clock import clock
from localcloud.s3.lifecycle import run_lifecycle

NOW = datetime(2026, 11, 23, tzinfo=UTC)  # midnight, when S3 applies the rules
DAY = timedelta(days=1)
EVERYTHING = {"Status": "Enabled", "Filter": {"Prefix": ""}}
AFTER_9_DAYS = {**EVERYTHING, "ID": "objects", "Expiration": {"Days": 9}}
SUPERSEDED_9_DAYS = {
    **EVERYTHING,
    "ID": "versions",
    "NoncurrentVersionExpiration": {"NoncurrentDays": 9},
}
BOTH = [AFTER_9_DAYS, SUPERSEDED_9_DAYS]


@pytest.fixture
def bucket(account: Account) -> Iterator[Any]:
    """A bucket with versions of four keys: one nightly, one hidden, one deleted, one new."""
    s3 = account.client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    keys = s3_backends["123456789012"]["aws"].buckets["bucket"].keys

    def store(key: str, *ages: int, hidden_since: int | None = None) -> None:
        for _ in ages:
            s3.put_object(Bucket="bucket", Key=key, Body=b"0123456789")
        moments = [*ages]
        if hidden_since is not None:
            s3.delete_object(Bucket="bucket", Key=key)
            moments.append(hidden_since)
        for entry, age in zip(keys.getlist(key), moments, strict=True):
            entry.last_modified = (NOW - age * DAY).replace(tzinfo=None)

    store("nightly", *range(29, -1, -1))
    store("hidden", 40, 35, hidden_since=20)
    store("deleted yesterday", 40, hidden_since=1)
    store("old", 9)
    store("young", 8)
    store("drill/old", 400)
    clock.stand_at(NOW)
    yield keys
    clock.reset()


def state(keys: Any) -> dict[str, bool]:
    """Each version except the drill's, and whether it is current."""
    return {
        version.version_id: version is keys.getlist(key)[-1]
        for key in keys
        for version in keys.getlist(key)
        if not (key.startswith("drill/") or isinstance(version, FakeDeleteMarker))
    }


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param(BOTH, id="incoming's"),
        pytest.param([AFTER_9_DAYS], id="current versions only"),
        pytest.param([SUPERSEDED_9_DAYS], id="noncurrent versions only"),
        pytest.param([{**rule, "Filter": {"Prefix": "n"}} for rule in BOTH], id="of a prefix"),
        pytest.param([{**rule, "Status": "Disabled"} for rule in BOTH], id="disabled"),
    ],
)
def test_the_count_is_what_s3_s_lifecycle_removes_or_hides(
    account: Account, bucket: Any, rules: list[dict[str, Any]]
) -> None:
    expiry = compare(stored_versions(account, "bucket"), before=[], after=rules, now=NOW)
    before = state(bucket)
    account.client("s3").put_bucket_lifecycle_configuration(
        Bucket="bucket", LifecycleConfiguration={"Rules": rules}
    )
    run_lifecycle()
    after = state(bucket)
    changed = [version for version in before if before[version] != after.get(version)]
    assert expiry.at_once.versions == len(changed)


def test_what_the_current_rules_expire_anyway_is_not_counted(account: Account, bucket: Any) -> None:
    versions = [*stored_versions(account, "bucket")]
    assert not compare(versions, before=BOTH, after=BOTH, now=NOW)
    later = [{**AFTER_9_DAYS, "Expiration": {"Days": 10}}, SUPERSEDED_9_DAYS]
    assert not compare(versions, before=BOTH, after=later, now=NOW)
    expiry = compare(versions, before=later, after=BOTH, now=NOW)
    # The versions of "nightly" and "young" expire later.
    assert (str(expiry.at_once), str(expiry.later)) == (
        "1 version (10 bytes)",
        "2 versions (20 bytes)",
    )


def test_pages_of_a_listing_are_one_history(
    account: Account, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [*stored_versions(account, "bucket")]
    assert len(whole) == 35
    s3 = account.client("s3")
    paginate = s3.get_paginator("list_object_versions").paginate
    pages = [
        {"Versions": [v], "DeleteMarkers": []} if "Size" in v else {"DeleteMarkers": [v]}
        for page in paginate(Bucket="bucket")
        for v in sorted(
            [*page["Versions"], *page["DeleteMarkers"]],
            key=lambda entry: (entry["Key"], -entry["LastModified"].timestamp()),
        )
    ]
    paginator = type(s3.get_paginator("list_object_versions"))
    monkeypatch.setattr(paginator, "paginate", lambda *_, **__: pages)
    assert [*stored_versions(account, "bucket")] == whole


@pytest.mark.parametrize(
    ("criteria", "is_for"),
    [
        pytest.param({"Filter": {}}, True, id="everything"),
        pytest.param({"Prefix": "web1/"}, True, id="an older rule"),
        pytest.param({"Filter": {"Prefix": "web2/"}}, False, id="another prefix"),
        pytest.param({"Filter": {"Tag": {"Key": "a", "Value": "b"}}}, False, id="a tag"),
        pytest.param({"Filter": {"ObjectSizeGreaterThan": 9}}, True, id="larger"),
        pytest.param({"Filter": {"ObjectSizeGreaterThan": 10}}, False, id="not larger"),
        pytest.param({"Filter": {"ObjectSizeLessThan": 10}}, False, id="not smaller"),
        pytest.param(
            {"Filter": {"And": {"Prefix": "web1/", "ObjectSizeLessThan": 11}}}, True, id="both"
        ),
        pytest.param(
            {"Filter": {"And": {"Prefix": "web1/", "Tags": [{"Key": "a", "Value": "b"}]}}},
            False,
            id="a prefix and a tag",
        ),
    ],
)
def test_a_rule_is_for_the_objects_that_its_filter_names(
    criteria: dict[str, Any], *, is_for: bool
) -> None:
    version = StoredVersion(key="web1/backup", made=NOW, size=10)
    assert applies({"Status": "Enabled", **criteria}, version) is is_for


def test_a_rule_can_keep_some_noncurrent_versions() -> None:
    kept = {"NoncurrentDays": 1, "NewerNoncurrentVersions": 2}
    rule = {**EVERYTHING, "NoncurrentVersionExpiration": kept}
    ends = [
        expires_at(StoredVersion(key="k", made=NOW, superseded=NOW, newer=newer), [rule])
        for newer in range(4)
    ]
    assert ends == [None, None, NOW + DAY, NOW + DAY]


def test_a_date_counts_like_a_number_of_days() -> None:
    rule = {**EVERYTHING, "Expiration": {"Date": NOW}}
    assert expires_at(StoredVersion(key="k", made=NOW - DAY), [rule]) == NOW


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (1023, "1,023 bytes"), (1536, "1.5 KB"), (5 * 1024**4, "5.0 TB")],
)
def test_sizes_are_readable(size: int, words: str) -> None:
    assert size_in_words(size) == words
