"""A server's access keys, from the first key to the revocation, and the crontab."""

import json
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

import admin.cli
from admin.account import Account
from admin.cli import cli
from admin.credentials.crontab import CRONTAB_BEGINS, UploadTarget, instructions, part_mib
from admin.credentials.keys import AccessKey
from admin.desired.permissions import REVOKED, server_policy
from chalicelib.policy.file import parse_policy
from chalicelib.policy.patterns import Pattern
from chalicelib.policy.policy import Policy
from localcloud.cloud import Cloud
from localcloud.iam.authorization import Credentials
from tests.support.project import POLICY, STAGE

FLEET = replace(POLICY, servers=("web1", "db1"))
UPLOAD = "backup.tar.gz.gpg"


@pytest.fixture
def user(account: Account) -> str:
    """The only server's user, as `setup` creates it."""
    return make_user(account, None)


@pytest.fixture
def fleet(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy with two servers, and their users."""
    monkeypatch.setattr(admin.cli, "read_policy", lambda: FLEET)
    for server in FLEET.servers:
        make_user(account, server)


def make_user(account: Account, server: str | None) -> str:
    account.client("s3").create_bucket(Bucket="backups1")
    iam, user = account.client("iam"), STAGE.server_user(server)
    policy = server_policy(FLEET if server else POLICY, incoming="backups1", server=server)
    iam.create_user(UserName=user)
    iam.put_user_policy(UserName=user, PolicyName="uploads", PolicyDocument=json.dumps(policy))
    return user


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["credentials", *arguments])


def new_key(*arguments: str) -> Credentials:
    """The key that the command prints as JSON."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    data = json.loads(result.stdout)
    return Credentials(
        access_key_id=data["access_key_id"], secret_access_key=data["secret_access_key"]
    )


def answer(
    cloud: Cloud, key: Credentials, *, upload: str = UPLOAD, bucket: str = "backups1"
) -> str:
    """S3's response to an upload with this key."""
    try:
        cloud.session(key).client("s3").put_object(Bucket=bucket, Key=upload, Body=b"all our files")
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "taken"


def keys_of(account: Account, user: str) -> list[str]:
    keys = account.client("iam").list_access_keys(UserName=user)["AccessKeyMetadata"]
    return [key["AccessKeyId"] for key in keys]


def add_key(account: Account, user: str) -> Credentials:
    made = account.client("iam").create_access_key(UserName=user)["AccessKey"]
    return Credentials(access_key_id=made["AccessKeyId"], secret_access_key=made["SecretAccessKey"])


# The key.


def test_a_new_key_can_only_upload_its_server_s_keys(cloud: Cloud, fleet: None) -> None:
    key = new_key("web1")
    assert answer(cloud, key, upload=f"web1/{UPLOAD}") == "taken"
    assert answer(cloud, key, upload=f"db1/{UPLOAD}") == "AccessDenied"
    assert answer(cloud, key, upload="web1/anything") == "AccessDenied"


def test_json_has_the_new_key(cloud: Cloud, account: Account, fleet: None) -> None:
    data = json.loads(run("db1", "--json").stdout)
    assert keys_of(account, data["user"]) == [data.pop("access_key_id")]
    assert len(data.pop("secret_access_key")) == 40
    assert data == {
        "server": "db1",
        "user": "immutable-backups-dev-server-db1",
        "region": "us-east-1",
        "endpoint": cloud.endpoint,
        "incoming": "backups1",
        "uploads": ["db1/backup.tar.gz.gpg", "db1/sql.gz.gpg"],
    }


def test_the_secret_is_printed_once_and_only_as_data(user: str) -> None:
    result = run()
    key_files, crontab = result.stdout.split(CRONTAB_BEGINS)
    [secret] = set(re.findall(r"^\w*secret\w* = (.+)$", key_files, re.MULTILINE))
    assert key_files.count(secret) == 2, "once in each tool's own file"
    assert secret not in crontab
    assert secret not in result.stderr
    assert "shown only this once" in result.stderr
    for arguments in ([], ["--rotate"], ["--revoke"]):
        again = run(*arguments)
        assert secret not in again.stdout + again.stderr
    assert secret not in repr(AccessKey(id="AKIA", secret=secret))


def test_a_second_key_needs_rotate(account: Account, user: str) -> None:
    first = new_key()
    result = run()
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"already has a key, {first.access_key_id} (not used yet)" in result.stderr
    assert ".venv/bin/backups credentials --stage dev --rotate" in result.stderr
    assert keys_of(account, user) == [first.access_key_id]


def test_a_rotation_has_no_gap(cloud: Cloud, account: Account, user: str) -> None:
    old = new_key()
    rotation = run("--rotate")
    assert f"{old.access_key_id} still works" in rotation.stderr
    [finish] = re.findall(r"^  \.venv/bin/backups credentials (.+)$", rotation.stderr, re.MULTILINE)
    [secret] = re.findall(r"^aws_secret_access_key = (.+)$", rotation.stdout, re.MULTILINE)
    [new_id] = set(keys_of(account, user)) - {old.access_key_id}
    new = Credentials(access_key_id=new_id, secret_access_key=secret)
    assert (answer(cloud, old), answer(cloud, new)) == ("taken", "taken")

    finished = run(*finish.split())
    assert finished.exit_code == 0
    assert (answer(cloud, old), answer(cloud, new)) == ("InvalidAccessKeyId", "taken")


def test_a_rotation_can_be_repeated_if_its_key_was_lost(
    cloud: Cloud, account: Account, user: str
) -> None:
    used = new_key()
    answer(cloud, used)
    lost = new_key("--rotate")
    refused = run("--rotate")
    assert refused.exit_code == 2
    assert re.search(rf"{used.access_key_id} \(last used 20.* UTC\)", refused.stderr)
    assert f"{lost.access_key_id} (not used yet)" in refused.stderr
    assert run("--remove", lost.access_key_id).exit_code == 0
    assert answer(cloud, new_key("--rotate")) == "taken"
    assert answer(cloud, used) == "taken"


def test_the_only_key_cannot_be_removed(account: Account, user: str) -> None:
    key = new_key()
    result = run("--remove", key.access_key_id)
    assert result.exit_code == 2
    assert "without it, backups stop" in result.stderr
    assert keys_of(account, user) == [key.access_key_id]


def test_json_has_the_removed_key(account: Account, user: str) -> None:
    old, new = new_key(), new_key("--rotate")
    data = json.loads(run("--remove", old.access_key_id, "--json").stdout)
    assert data == {
        "server": None,
        "user": user,
        "removed": [old.access_key_id],
        "access_key_id": new.access_key_id,
    }


# The end of a server's access


def test_a_revocation_ends_every_access_at_once(cloud: Cloud, account: Account, user: str) -> None:
    keys = [new_key(), new_key("--rotate")]
    result = run("--revoke", "--json")
    assert json.loads(result.stdout) == {
        "server": None,
        "user": user,
        "removed": [key.access_key_id for key in keys],
    }
    assert [answer(cloud, key) for key in keys] == ["InvalidAccessKeyId"] * 2
    assert "`backups setup` does not" in result.stderr


def test_a_revocation_also_denies_temporary_credentials(
    cloud: Cloud, account: Account, user: str
) -> None:
    run("--revoke")
    # A second key represents temporary credentials, which the local cloud does not issue to users.
    assert answer(cloud, add_key(account, user)) == "AccessDenied"


def test_everything_is_denied_before_keys_are_deleted(
    cloud: Cloud, account: Account, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()

    def cut(**_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(account.client("iam"), "delete_access_key", cut)
        run("--revoke")
    assert answer(cloud, key) == "AccessDenied"
    assert "revocation is not complete" in run().stderr
    assert "no key that works" in run("--rotate").stderr
    assert run("--revoke").exit_code == 0
    assert answer(cloud, key) == "InvalidAccessKeyId"
    assert run("--revoke").exit_code == 0
    assert keys_of(account, user) == []


def fill_up(account: Account, user: str, name: str, *, characters: int) -> None:
    """Give the user an IAM policy of this many characters."""
    statement = {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": ["arn:aws:s3:::x/"]}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    size = len(json.dumps(policy, separators=(",", ":")))
    statement["Resource"] = ["arn:aws:s3:::x/" + "x" * (characters - size)]
    text = json.dumps(policy, separators=(",", ":"))
    account.client("iam").put_user_policy(UserName=user, PolicyName=name, PolicyDocument=text)


def test_the_denial_fits_beside_the_policy_and_setup_does_not_lift_it(
    cloud: Cloud, account: Account, user: str
) -> None:
    key = new_key()
    fill_up(account, user, "uploads", characters=2048)
    assert run("--revoke").exit_code == 0
    assert answer(cloud, key) == "InvalidAccessKeyId"
    set_up = CliRunner().invoke(cli, ["setup", "--apply", "--yes"])
    assert set_up.exit_code == 0, set_up.output
    policies = account.client("iam").list_user_policies(UserName=user)["PolicyNames"]
    assert sorted(policies) == [REVOKED, "uploads"]
    assert answer(cloud, add_key(account, user)) == "AccessDenied"


@pytest.mark.parametrize("code", ["LimitExceeded", "AccessDenied"])
def test_keys_are_deleted_even_if_iam_refuses_the_denial(
    cloud: Cloud, account: Account, user: str, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    key = new_key()
    if code == "LimitExceeded":
        account.client("iam").delete_user_policy(UserName=user, PolicyName="uploads")
        fill_up(account, user, "theirs", characters=2048)
    else:

        def refuse(**_: Any) -> None:
            raise ClientError({"Error": {"Code": code, "Message": "not you"}}, "PutUserPolicy")

        monkeypatch.setattr(account.client("iam"), "put_user_policy", refuse)
    result = run("--revoke")
    assert (result.exit_code, result.stdout) == (3, "")
    assert f"IAM did not accept the denial ({code}: " in result.stderr
    assert f"are deleted ({key.access_key_id})" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert answer(cloud, key) == "InvalidAccessKeyId"


def test_a_new_key_lifts_a_revocation_and_says_so(
    cloud: Cloud, account: Account, user: str
) -> None:
    run("--revoke")
    result = run("--json")
    data = json.loads(result.stdout)
    key = Credentials(
        access_key_id=data["access_key_id"], secret_access_key=data["secret_access_key"]
    )
    assert answer(cloud, key) == "taken"
    assert "lifts the revocation" in result.stderr
    assert "36 hours" in result.stderr


def test_a_server_that_has_left_the_policy_can_still_be_revoked(
    cloud: Cloud, fleet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key("web1")
    monkeypatch.setattr(admin.cli, "read_policy", lambda: replace(FLEET, servers=("db1",)))
    assert run("web1", "--revoke").exit_code == 0
    assert answer(cloud, key, upload=f"web1/{UPLOAD}") == "InvalidAccessKeyId"


def test_only_the_named_server_is_revoked(cloud: Cloud, fleet: None) -> None:
    revoked, other = new_key("web1"), new_key("db1")
    run("web1", "--revoke")
    assert answer(cloud, revoked, upload=f"web1/{UPLOAD}") == "InvalidAccessKeyId"
    assert answer(cloud, other, upload=f"db1/{UPLOAD}") == "taken"


# Wrong usage.


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param([], "Choose one of the servers in the policy: web1, db1", id="no server"),
        pytest.param([""], "Choose one of the servers in the policy: web1, db1", id="empty name"),
        pytest.param(
            ["", "--revoke"],
            "Choose one of the servers in the policy: web1, db1",
            id="revoke an empty name",
        ),
        pytest.param(
            ["--revoke"], "Choose one of the servers in the policy: web1, db1", id="revoke nobody"
        ),
        pytest.param(["wbe1"], 'no server "wbe1"; did you mean "web1"', id="a typo"),
        pytest.param(["wbe1", "--revoke"], 'did you mean "web1"', id="revoke a typo"),
        pytest.param(["mail"], "it has web1, db1", id="another name"),
        pytest.param(["web1", "--rotate"], "no key that works. To create one:", id="no key yet"),
        pytest.param(["web1", "--remove", "AKIA1"], "has no key AKIA1; it has none", id="no such"),
        pytest.param(["web1", "--rotate", "--revoke"], "use only one", id="two things"),
        pytest.param(["web1", "--remove", "", "--rotate"], "use only one", id="two, one empty"),
    ],
)
def test_wrong_usage_is_one_sentence(fleet: None, arguments: list[str], sentence: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence in result.stderr


def test_a_policy_without_servers_has_no_names(user: str) -> None:
    result = run("web1")
    assert result.exit_code == 2
    assert 'lists no servers; leave out "web1"' in result.stderr


@pytest.mark.parametrize("arguments", [[], ["--rotate"], ["--remove", "AKIA1"], ["--revoke"]])
def test_without_setup_the_error_says_to_run_it(account: Account, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "IAM has no user immutable-backups-dev-server; run .venv/bin/backups setup" in (
        result.stderr
    )


def test_a_denied_request_is_one_sentence(
    account: Account, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        raise ClientError(
            {"Error": {"Code": "AccessDenied", "Message": "not you"}}, "CreateAccessKey"
        )

    monkeypatch.setattr(account.client("iam"), "create_access_key", refuse)
    result = run()
    assert (result.exit_code, result.stdout) == (3, "")
    assert "CreateAccessKey is denied" in result.stderr


def test_help_starts_with_an_example() -> None:
    lines = run("--help").stdout.splitlines()
    assert lines[2].strip() == "Example: backups credentials web1 --stage prod"


def test_the_denial_of_a_revocation_is_the_users_own(account: Account, user: str) -> None:
    run("--revoke")
    policies = account.client("iam").list_user_policies(UserName=user)["PolicyNames"]
    assert sorted(policies) == [REVOKED, "uploads"]


# The crontab.

AWS = UploadTarget(incoming="in", region="eu-west-1")
KEY = AccessKey(id="AKIA", secret="s/e+c")


def crontab(policy: Policy, server: str | None, target: UploadTarget) -> str:
    return instructions(policy, server, target, key=KEY).split(CRONTAB_BEGINS)[1]


def text(store_as: str = "%Y.gz", *, target: UploadTarget = AWS, **changes: Any) -> str:
    rule = replace(POLICY.rules[0], store_as=Pattern(store_as), **changes)
    return crontab(replace(POLICY, rules=(rule,)), None, target)


def jobs(crontab: str, tool: str) -> list[tuple[str, str, dict[str, str]]]:
    """The jobs in the crontab with the lines of `tool` uncommented: time, command, environment."""
    general, *blocks = re.split(r"^# With ", crontab, flags=re.MULTILINE)
    [block] = [block for block in blocks if block.startswith(tool)]
    _, *chosen = re.sub(r"^#(?! )", "", block, flags=re.MULTILINE).splitlines()
    jobs_of_tool, environment = [], {}
    for line in [*general.splitlines(), *chosen]:
        if not line or line.startswith("# "):
            continue
        if requirement := re.fullmatch(r"([A-Z0-9_]+)=(.*)", line):
            environment[requirement[1]] = requirement[2]
            continue
        *when, command = line.split(maxsplit=5)
        assert not re.search(r"(?<!\\)%", command), "cron ends the command at a plain %"
        jobs_of_tool.append((" ".join(when), command.replace(r"\%", "%"), dict(environment)))
    return jobs_of_tool


@pytest.mark.parametrize(
    ("store_as", "schedule"),
    [
        ("%Y-%m-%d.%H%M", "* * * * *"),
        ("%Y-%m-%d.%H", "7 * * * *"),
        ("%Y-%j.%H", "7 * * * *"),
        ("%Y-%m-%d", "7 4 * * *"),
        ("%G-W%V", "7 4 * * 1"),
        ("%Y-%m", "7 4 1 * *"),
        ("%Y", "7 4 1 1 *"),
    ],
)
@pytest.mark.parametrize("tool", ["aws", "s3cmd", "rclone"])
def test_a_backup_is_made_once_in_each_period(tool: str, store_as: str, schedule: str) -> None:
    [(when, _, _)] = jobs(text(store_as), tool)
    assert when == schedule


@pytest.mark.parametrize(
    ("upload", "pipeline"),
    [
        ("backup.tar.gz.gpg", "{ tar c -C / etc home || [ $? = 1 ]; } | gzip | gpg "),
        ("nightly/site.tar.xz", "{ tar c -C / etc home || [ $? = 1 ]; } | xz |"),
        ("sql.gz.gpg", "pg_dumpall | gzip | gpg "),
        ("db/all-dumps.zst.gpg", "pg_dumpall | zstd | gpg "),
        ("sql", "pg_dumpall |"),
    ],
)
def test_the_example_matches_the_file_extensions(upload: str, pipeline: str) -> None:
    [(_, command, _)] = jobs(text(upload=upload), "aws")
    assert command.replace(" || kill 0 )", " |").startswith(f"set -o pipefail; ( {pipeline}")
    assert f"s3://in/{upload} " in command


@pytest.mark.parametrize(
    ("max_bytes", "mib"),
    [
        pytest.param(None, 8, id="no max_bytes: the parts fit into a small server's memory"),
        (1, 8),
        (80 * 10**9, 8),
        (84 * 10**9, 9),
        (5 * 1024**4, 525),
    ],
)
def test_the_largest_backup_fits_into_ten_thousand_parts(max_bytes: int | None, mib: int) -> None:
    assert part_mib(max_bytes) == mib
    assert part_mib(max_bytes) * 1024**2 * 10_000 >= (max_bytes or 80 * 10**9)
    [(_, s3cmd, _)] = jobs(text(max_bytes=max_bytes), "s3cmd")
    assert f"--multipart-chunk-size-mb={mib} " in s3cmd
    [(_, aws, _)] = jobs(text(max_bytes=max_bytes), "aws")
    size = int(aws.split("--expected-size ")[1])
    assert size >= (max_bytes or 80 * 10**9)
    # aws divides this by ten thousand to get its part size.
    assert size <= mib * 1024**2 * 10_000


def test_each_rule_has_its_own_time_zone() -> None:
    zones = parse_policy("""
        timezone = "Europe/London"
        [[rule]]
        upload = "sql.gz"
        store_as = "%Y-%m-%d.%H.gz"
        [[rule]]
        upload = "tokyo.gz"
        store_as = "%Y-%m-%d.tokyo.gz"
        timezone = "Asia/Tokyo"
    """)
    rclone_jobs = jobs(crontab(zones, None, AWS), "rclone")
    assert [environment["CRON_TZ"] for _, _, environment in rclone_jobs] == [
        "Europe/London",
        "Asia/Tokyo",
    ]


@pytest.mark.parametrize("tool", ["aws", "s3cmd", "rclone"])
def test_a_server_uploads_its_own_backups_only(tool: str) -> None:
    commands = [command for _, command, _ in jobs(crontab(FLEET, "db1", AWS), tool)]
    assert len(commands) == len(POLICY.rules)
    assert all("in/db1/" in command for command in commands)


def test_only_a_local_cloud_has_an_endpoint() -> None:
    aws = text()
    assert "ENDPOINT" not in aws
    assert r"--host-bucket='\%(bucket)s.s3.eu-west-1.amazonaws.com'" in aws
    assert "RCLONE_S3_PROVIDER=AWS" in aws
    local = text(target=replace(AWS, endpoint="http://127.0.0.1:9000"))
    assert "\nAWS_ENDPOINT_URL=http://127.0.0.1:9000\n" in local
    assert "\n#RCLONE_S3_ENDPOINT=http://127.0.0.1:9000\n" in local
    assert "--no-ssl --host=127.0.0.1:9000 --host-bucket=127.0.0.1:9000 " in local


@pytest.mark.parametrize("target", [AWS, replace(AWS, endpoint="http://127.0.0.1:9000")])
def test_the_crontab_has_no_secret_and_names_the_files_with_the_key(target: UploadTarget) -> None:
    key_files, crontab = instructions(POLICY, None, target, key=KEY).split(CRONTAB_BEGINS)
    assert KEY.secret in key_files
    assert KEY.secret not in crontab
    assert KEY.id not in crontab
    assert "\nAWS_PROFILE=backups\n" in crontab
    assert "s3cmd --quiet -c ~/.s3cfg-backups " in crontab


def test_only_root_s_crontab_reads_every_file() -> None:
    assert "root's\n# crontab (`sudo crontab -e`)" in text()


def test_only_one_tool_runs_when_everything_is_pasted() -> None:
    pasted = [line for line in text().splitlines() if re.match(r"[0-9*]", line)]
    assert len(pasted) == 1
    assert "aws s3 cp" in pasted[0]


def test_special_characters_are_quoted_for_the_shell() -> None:
    [(_, command, _)] = jobs(text(upload="it's(1).gz"), "aws")
    assert """s3://'in/it'"'"'s(1).gz' """ in command


# A server into which it was pasted.


class Server:
    """A home directory with a public key and a database, independent of this machine's user."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.private = home / "elsewhere"
        self.private.mkdir(mode=0o700)
        self.gpg("--quick-gen-key", "backups@example.org", "future-default", "default", "never")
        (home / "backups.pub").write_bytes(self.gpg("--export", "backups@example.org"))
        self.dumps("echo 'create table everything;'")

    def gpg(self, *arguments: str, stdin: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", self.private, "--batch", "--quiet", "--passphrase", ""]
        done = subprocess.run([*command, *arguments], input=stdin, capture_output=True, check=True)
        return done.stdout

    def dumps(self, script: str) -> None:
        program = self.home / "pg_dumpall"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def create_key_files(self, key_files: str) -> None:
        """Follow the instructions, with an editor that only pastes."""
        commands = re.findall(r"^#   (.+)$", key_files, re.MULTILINE)
        subprocess.run(
            ["/bin/sh", "-c", "\n".join(commands)], env={"HOME": str(self.home)}, check=True
        )
        for name, lines in re.findall(r"^# ~/(\S+), for .+:\n((?:.+\n)+)", key_files, re.MULTILINE):
            file = self.home / name
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            file.write_text(lines)

    def cron(self, output: str, tool: str) -> int:
        """Create the key files, and run the line of the database dump as cron would."""
        key_files, crontab = output.split(CRONTAB_BEGINS)
        self.create_key_files(key_files)
        [(command, environment)] = [
            (command, environment)
            for _, command, environment in jobs(crontab, tool)
            if "pg_dumpall" in command
        ]
        path = f"{self.home}:{Path(sys.executable).parent}:{environment['PATH']}"
        return subprocess.run(
            [environment["SHELL"], "-c", command],
            env=environment | {"HOME": str(self.home), "PATH": path},
            start_new_session=True,
            capture_output=True,
            check=False,
        ).returncode


@pytest.fixture
def server() -> Iterator[Server]:
    # gpg's sockets need a short path, so pytest's directory is not used.
    home = Path(tempfile.mkdtemp(prefix="server-"))
    try:
        server = Server(home)
        yield server
        subprocess.run(["gpgconf", "--homedir", server.private, "--kill", "all"], check=True)
    finally:
        shutil.rmtree(home)


def test_the_pasted_lines_upload_backups_that_only_the_private_key_opens(
    account: Account, user: str, server: Server
) -> None:
    assert server.cron(run().stdout, "s3cmd") == 0
    stored = account.client("s3").get_object(Bucket="backups1", Key="sql.gz.gpg")["Body"].read()
    dump = subprocess.run(
        ["gzip", "-d"], input=server.gpg("--decrypt", stdin=stored), capture_output=True, check=True
    ).stdout
    assert dump == b"create table everything;\n"


def test_the_aws_tools_find_the_key_in_the_profile_that_the_crontab_names(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_files, lines = instructions(POLICY, None, AWS, key=KEY).split(CRONTAB_BEGINS)
    server.create_key_files(key_files)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(server.home / ".aws" / "credentials"))
    [profile] = re.findall(r"^AWS_PROFILE=(.+)$", lines, re.MULTILINE)
    credentials = boto3.Session(profile_name=profile).get_credentials()
    assert credentials is not None
    assert (credentials.access_key, credentials.secret_key) == (KEY.id, KEY.secret)


@pytest.mark.parametrize("broken", ["the dump", "gpg"])
def test_half_a_backup_is_not_uploaded(
    account: Account, user: str, server: Server, broken: str
) -> None:
    if broken == "gpg":
        (server.home / "backups.pub").unlink()
    else:
        server.dumps("echo 'create table half'; exit 1")
    assert server.cron(run().stdout, "s3cmd") != 0
    assert account.client("s3").list_objects_v2(Bucket="backups1")["KeyCount"] == 0
