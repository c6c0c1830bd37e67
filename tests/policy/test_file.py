from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent

import pytest

from chalicelib.policy.file import parse_policy, read_policy
from chalicelib.policy.rules import Archive, PolicyError
from tests.support.project import POLICY_TOML

TOP = 'timezone = "Europe/London"'
RULE = """
[[rule]]
upload = "backup.tar.gz.gpg"
store_as = "%Y-%m-%d.tar.gz.gpg"
"""


def test_the_shipped_policy_can_be_read() -> None:
    assert read_policy().promotable_keys


def test_a_policy_is_parsed() -> None:
    policy = parse_policy(POLICY_TOML)
    assert policy.timezone.key == "Etc/UTC"
    assert {key: rule.store_as.text for key, (rule, _) in policy.server_keys.items()} == {
        "backup.tar.gz.gpg": "%Y-%m-%d.tar.gz.gpg",
        "sql.gz.gpg": "%Y-%m-%d.%H.sql.gz.gpg",
    }


def test_every_omitted_key_has_a_default() -> None:
    policy = parse_policy(TOP + RULE)
    [rule] = policy.rules
    assert policy.accept_within == timedelta(hours=168)
    assert policy.servers == ()
    assert (policy.keep_days, policy.archive) == (None, None)
    assert rule.timezone == policy.timezone
    assert (rule.min_bytes, rule.max_bytes, rule.storage_class) == (1, None, "STANDARD")
    assert (rule.due_minutes, rule.expect, rule.small) == (None, True, True)


def test_every_key_is_read() -> None:
    policy = parse_policy(
        dedent("""
            timezone = "Europe/London"
            accept_within_hours = 24
            keep_days = 400
            archive = { after_days = 30, to = "DEEP_ARCHIVE" }
            servers = ["web1", "db-1.example"]
            [[rule]]
            upload = "dumps/sql.gz.gpg"
            store_as = "sql/%Y/%Y-%m-%d.%H.sql.gz.gpg"
            timezone = "Asia/Kolkata"
            min_bytes = 1000
            max_bytes = 2000
            storage_class = "GLACIER_IR"
            due_minutes = 90
            small = false
        """)
    )
    [rule] = policy.rules
    assert policy.accept_within == timedelta(hours=24)
    assert policy.keep_days == 400
    assert policy.archive == Archive(after_days=30, to="DEEP_ARCHIVE")
    assert set(policy.server_keys) == {"web1/dumps/sql.gz.gpg", "db-1.example/dumps/sql.gz.gpg"}
    assert rule.timezone.key == "Asia/Kolkata"
    assert (rule.min_bytes, rule.max_bytes, rule.storage_class) == (1000, 2000, "GLACIER_IR")
    assert (rule.due_minutes, rule.small) == (90, False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("", "timezone is missing", id="empty"),
        pytest.param(TOP, r"there is no \[\[rule\]\]", id="no rule"),
        pytest.param(TOP + "\nrule", "not TOML.*line 2", id="not TOML"),
        pytest.param(
            'timezone = "Europe/Londn"' + RULE, "mean .*Europe/London", id="a misspelled zone"
        ),
        pytest.param('timezone = "london"' + RULE, "mean Europe/London", id="a city"),
        pytest.param('timezone = "europe/london"' + RULE, "mean Europe/London", id="lowercase"),
        pytest.param('timezone = "../../etc/passwd"' + RULE, "does not exist", id="a path"),
        pytest.param('timezone = ""' + RULE, "does not exist", id="an empty zone"),
        pytest.param(
            'timezone = "Qqqqqqqqq"' + RULE, 'such as "Europe/London"', id="an unknown zone"
        ),
        pytest.param("timezone = 1" + RULE, "must be a string", id="zone is a number"),
        pytest.param(
            'time_zone = "Etc/UTC"' + RULE, 'mean "timezone"', id="a typo above the rules"
        ),
        pytest.param(
            TOP + RULE + "min_byte = 5", 'rule 1 .*mean "min_bytes"', id="a typo in a rule"
        ),
        pytest.param(TOP + RULE + "keep_days = 9", "above the first", id="a key below the rules"),
        pytest.param(TOP + RULE + "qqqq = 5", "settings are due_minutes, ", id="an unknown key"),
        pytest.param(TOP + RULE + "min_bytes = 0", "1 or more", id="zero bytes"),
        pytest.param(TOP + RULE + "min_bytes = -1", "1 or more", id="negative"),
        pytest.param(TOP + RULE + "min_bytes = true", "a whole number", id="a boolean"),
        pytest.param(TOP + RULE + "min_bytes = 1.5", "a whole number", id="a fraction"),
        pytest.param(TOP + RULE + "max_bytes = -1", "not be less", id="negative max"),
        pytest.param(
            TOP + RULE + "min_bytes = 9\nmax_bytes = 8", "not be less than", id="max under min"
        ),
        pytest.param(
            TOP + RULE + 'storage_class = "GLACIER"', "must be one of", id="an archive class"
        ),
        pytest.param(TOP + RULE + "timezone = 3", "rule 1 .* a string", id="a rule's zone"),
        pytest.param(TOP + "\naccept_within_hours = 0" + RULE, "1 to 8760", id="zero hours"),
        pytest.param(TOP + "\naccept_within_hours = -3" + RULE, "1 to 8760", id="negative hours"),
        pytest.param(
            TOP + "\naccept_within_hours = 99999999999999" + RULE, "1 to 8760",
            id="more than a year",
        ),
        pytest.param(TOP + '\naccept_within_hours = "7d"' + RULE, "a whole number", id="7d"),
        pytest.param(
            TOP + '\nservers = "web1"' + RULE, "a list in brackets", id="servers is a string"
        ),
        pytest.param(TOP + "\nservers = [1]" + RULE, "must be a string", id="a server is a number"),
        pytest.param(TOP + '\nservers = ["a", "a"]' + RULE, "twice", id="a server twice"),
        pytest.param(TOP + '\nservers = ["drill"]' + RULE, "reserved", id="drill is reserved"),
        pytest.param(
            TOP + '\nservers = ["contested"]' + RULE, "reserved", id="contested is reserved"
        ),
        pytest.param(TOP + '\nservers = ["a/b"]' + RULE, '"a/b"; use letters', id="a slash"),
        pytest.param(TOP + '\nservers = [".."]' + RULE, "begin with a letter", id="dots"),
        pytest.param(TOP + '\nservers = [""]' + RULE, "begin with a letter", id="an empty name"),
        pytest.param(TOP + '\nservers = ["web 1"]' + RULE, "use letters", id="a space"),
        pytest.param('rule = "x"\n' + TOP, "a list in brackets", id="rule is a string"),
        pytest.param('rule = ["x"]\n' + TOP, r"as a \[\[rule\]\] section", id="a rule is a string"),
        pytest.param(TOP + "\n[rule]\nupload = 'a'", "double brackets", id="single brackets"),
        pytest.param(TOP + "\nservers = []" + RULE, "remove the line", id="an empty list"),
        pytest.param(TOP + '\n[[rule]]\nupload = "a"', "store_as is missing", id="no store_as"),
        pytest.param(TOP + '\n[[rule]]\nstore_as = "%Y"', "upload is missing", id="no upload"),
        pytest.param(
            TOP + "\n[[rule]]\nupload = 3\nstore_as = '%Y'", "a string", id="upload is a number"
        ),
    ],
)  # fmt: skip
def test_an_invalid_policy_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(PolicyError, match=sentence) as refusal:
        parse_policy(text)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("store_as", "setting", "expect"),
    [
        pytest.param("%Y-%m-%d", "expect = false", False, id="none"),
        pytest.param("%Y-%m-%d", "expect = true", True, id="every slot"),
        pytest.param("%Y-%m-%d", 'expect = "80h"', timedelta(hours=80), id="weekdays"),
        pytest.param("%Y-%m-%d.%H%M", "", timedelta(hours=24), id="minutes by default"),
        pytest.param("%Y-%m-%d.%H%M", "expect = true", True, id="every minute"),
        pytest.param("%Y-%m", 'expect = "2232h"', timedelta(days=93), id="the longest of months"),
    ],
)
def test_what_is_expected_is_read(store_as: str, setting: str, expect: object) -> None:
    policy = parse_policy(f'{TOP}\n[[rule]]\nupload = "a"\nstore_as = "{store_as}"\n{setting}')
    assert policy.rules[0].expect == expect


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        pytest.param('expect = "3d"', "in hours, for example", id="days"),
        pytest.param("expect = 6", "must be true", id="a number"),
        pytest.param('expect = "24h"', "longer than one day .a slot.", id="no longer than a slot"),
        pytest.param('expect = "841h"', 'at most "840h"', id="longer than an audit looks back"),
        pytest.param("due_minutes = 0", "from 1 to 33600; it counts from the begin", id="at once"),
        pytest.param("due_minutes = 33601", "from 1 to 33600", id="due in a month"),
        pytest.param("due_minutes = true", "a whole number", id="due true"),
        pytest.param('due_minutes = 9\nexpect = "80h"', "needs expect = true", id="due and an age"),
        pytest.param("due_minutes = 9\nexpect = false", "needs expect = true", id="due, but none"),
        pytest.param('small = "no"', "true or false", id="small no"),
        pytest.param("small = 0", "true or false", id="small 0"),
    ],
)
def test_an_expectation_that_cannot_hold_is_refused(setting: str, sentence: str) -> None:
    with pytest.raises(PolicyError, match=f"rule 1 .*{sentence}"):
        parse_policy(TOP + RULE + setting)


@pytest.mark.parametrize(
    ("store_as", "setting", "start", "due"),
    [
        pytest.param("%Y-%m-%d", "", "2026-11-23", "2026-11-24T02:00", id="a day"),
        pytest.param("%Y-%m-%d", "", "2026-10-25", "2026-10-26T02:00", id="a day of 25 hours"),
        pytest.param("%Y-%m-%d", "", "2026-03-29", "2026-03-30T02:00", id="a day of 23 hours"),
        pytest.param("%Y-%m-%d.%H", "", "2026-11-23T14:00", "2026-11-23T15:15", id="an hour"),
        pytest.param("%Y-%m", "", "2027-02-01", "2027-03-08", id="a month and a quarter"),
        pytest.param(
            "%Y-%m-%d", "due_minutes = 360", "2026-11-23", "2026-11-23T06:00", id="by six"
        ),
    ],
)
def test_a_backup_is_due_some_time_after_its_slot(
    store_as: str, setting: str, start: str, due: str
) -> None:
    policy = parse_policy(f'{TOP}\n[[rule]]\nupload = "a"\nstore_as = "{store_as}"\n{setting}')
    moments = (
        datetime.fromisoformat(text).replace(tzinfo=policy.timezone) for text in (start, due)
    )
    begin, expected = (moment.astimezone(UTC) for moment in moments)
    assert policy.slot_of("a", begin).due == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("keep_days = 7", "must be 8 or more", id="a week is too short"),
        pytest.param("keep_days = 0", "must be 8 or more", id="zero days"),
        pytest.param('keep_days = "1y"', "a whole number", id="a year in words"),
        pytest.param("archive = 30", "a table in braces", id="archive is a number"),
        pytest.param("archive = { after_days = 30 }", "to is missing", id="no class"),
        pytest.param('archive = { to = "GLACIER" }', "after_days is missing", id="no days"),
        pytest.param('archive = { after = 3, to = "GLACIER" }', 'mean "after_days"', id="a typo"),
        pytest.param(
            'archive = { after_days = 30, to = "STANDARD" }',
            "must be one of",
            id="a class that is not colder",
        ),
        pytest.param(
            'archive = { after_days = 29, to = "STANDARD_IA" }', "30 or more", id="too early for IA"
        ),
        pytest.param(
            'archive = { after_days = 0, to = "GLACIER" }', "1 or more", id="after zero days"
        ),
        pytest.param(
            'keep_days = 30\narchive = { after_days = 30, to = "GLACIER" }',
            "less than keep_days",
            id="archived after it expires",
        ),
    ],
)
def test_a_retention_that_s3_or_the_promise_forbids_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(PolicyError, match=sentence):
        parse_policy(f"{TOP}\n{text}{RULE}")


def test_backups_can_only_move_to_a_colder_class() -> None:
    rule = f'{RULE}storage_class = "GLACIER_IR"\n'
    parse_policy(f'{TOP}\narchive = {{ after_days = 90, to = "GLACIER" }}{rule}')
    with pytest.raises(PolicyError, match="colder than the storage_class"):
        parse_policy(f'{TOP}\narchive = {{ after_days = 90, to = "GLACIER_IR" }}{rule}')


@pytest.mark.parametrize("field", ["upload", "store_as"])
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        pytest.param("", "plain name", id="empty"),
        pytest.param("/%Y.gpg", "plain name", id="absolute"),
        pytest.param("%Y.gpg/", "plain name", id="a folder"),
        pytest.param("a//%Y.gpg", "plain name", id="an empty folder"),
        pytest.param("../%Y.gpg", "plain name", id="a parent folder"),
        pytest.param("a/../%Y.gpg", "plain name", id="a folder and its parent"),
        pytest.param("a/./%Y.gpg", "plain name", id="the current folder"),
        pytest.param("%Y*.gpg", "letters, digits", id="IAM's wildcard"),
        pytest.param("%Y?.gpg", "letters, digits", id="IAM's other wildcard"),
        pytest.param("${aws:username}%Y.gpg", "letters, digits", id="IAM's variable"),
        pytest.param("%Y é.gpg", "letters, digits", id="an accent"),
        pytest.param("%Y\\n.gpg", "letters, digits", id="a line break"),
        pytest.param("drill/%Y.gpg", "reserved", id="drill"),
        pytest.param("contested/%Y.gpg", "reserved", id="contested"),
        pytest.param("a" * 1100 + "%Y", "longer than 1,024 bytes", id="too long"),
    ],
)
def test_names_that_s3_or_iam_would_misread_are_refused(
    field: str, name: str, sentence: str
) -> None:
    rule = {"upload": "a.gpg", "store_as": "%Y.gpg"}
    rule[field] = name if field == "store_as" else name.replace("%Y", "y")
    text = "\n".join(f'{key} = "{value}"' for key, value in rule.items())
    if (field, name) == ("store_as", ""):
        sentence = "does not name the year"
    with pytest.raises(PolicyError, match=sentence):
        parse_policy(f"{TOP}\n[[rule]]\n{text}")


def test_an_invalid_pattern_is_refused_with_its_rule_and_a_valid_example() -> None:
    with pytest.raises(PolicyError) as refusal:
        parse_policy(TOP + '\n[[rule]]\nupload = "sql.gz.gpg"\nstore_as = "%H.sql.gz.gpg"')
    assert str(refusal.value) == (
        'rule 1 (sql.gz.gpg): store_as = "%H.sql.gz.gpg": it does not name the year (%Y, or %G '
        "with %V), so its names would repeat, and each slot would be filled only once, ever; "
        "write, for example, %Y-%m-%d.%H"
    )


def test_a_retention_that_is_too_short_is_refused_with_the_rule_that_needs_more() -> None:
    monthly = RULE.replace("backup", "month").replace("%Y-%m-%d", "%Y-%m")
    with pytest.raises(PolicyError) as refusal:
        parse_policy(f"{TOP}\nkeep_days = 30{RULE}{monthly}")
    assert str(refusal.value) == (
        "keep_days = 30 must be 38 or more, which is accept_within_hours (168) plus the month of "
        'a slot of "month.tar.gz.gpg": otherwise a late upload could take the name of an expired '
        "backup"
    )


def test_an_upload_key_with_a_date_is_refused_with_the_fix() -> None:
    with pytest.raises(PolicyError) as refusal:
        parse_policy(TOP + RULE.replace('"backup.', '"%Y-%m-%d.'))
    assert str(refusal.value) == (
        'rule 1 (%Y-%m-%d.tar.gz.gpg): upload = "%Y-%m-%d.tar.gz.gpg" must be one fixed key '
        "without %, such as backup.tar.gz.gpg: servers use the same key for every upload, and "
        "store_as gives it the date in the vault"
    )


def test_two_rules_with_the_same_upload_are_refused() -> None:
    with pytest.raises(PolicyError, match='two rules have the upload "backup'):
        parse_policy(TOP + RULE + RULE)


def test_two_rules_that_could_store_under_the_same_name_are_refused() -> None:
    other = RULE.replace('"backup', '"other').replace("%m-%d.", "%m-01.")
    with pytest.raises(PolicyError, match="could store under the same name"):
        parse_policy(TOP + RULE + other.replace("%Y-%m-01", "%Y-%m-01"))


def test_the_server_s_name_counts_towards_the_length_of_a_key() -> None:
    rule = RULE.replace("%Y-%m-%d", "%Y-%m-%d" + "x" * 990)
    parse_policy(TOP + rule)
    with pytest.raises(PolicyError, match="1,024"):
        parse_policy(f'{TOP}\nservers = ["a-very-long-server-name"]{rule}')


def test_an_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    with pytest.raises(PolicyError, match=r"policy\.toml does not exist"):
        read_policy(path)
    path.write_bytes(b"\xff")
    with pytest.raises(PolicyError, match=r"policy\.toml is not valid UTF-8"):
        read_policy(path)
    path.write_text("timezone = 3")
    with pytest.raises(PolicyError, match=r"^policy\.toml: timezone"):
        read_policy(path)
