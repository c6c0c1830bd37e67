"""docs/restore.md: each of its commands, run in a shell as somebody would paste them."""

import io
import os
import re
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from gzip import compress
from pathlib import Path
from typing import Any

import botocore.session
import jmespath
import pytest

from admin.account import Account
from admin.stage import PROJECT
from demo.keyring import Keyring
from demo.stage import StageCloud
from localcloud.clock import clock
from tests.admin.test_restore_round_trips import reader
from tests.admin.test_vault_elsewhere import HOLDER, sign_in
from tests.support.loaded_aws import loaded_aws

PAGE = (PROJECT / "docs" / "restore.md").read_text()
BLOCKS = re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
VAULT = "example-backups2"
ENDED = "the block has ended"
# It needs the internet, and changes the machine.
INSTALLATION = next(block for block in BLOCKS if block.startswith("sudo apt-get"))


class Terminal:
    """A shell on a machine that has nothing but aws, gpg and tar."""

    def __init__(self, home: Path, tools: Path, endpoint: str) -> None:
        self.home = home
        self.pasted: set[str] = set()
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "BACKUPS_", "GNUPGHOME"))
        }
        self._bash = subprocess.Popen(
            ["bash", "-o", "pipefail"],
            cwd=home,
            env=environment
            | {
                "HOME": str(home),
                "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
                "AWS_ENDPOINT_URL": endpoint,
                # An aws that does not know this variable cannot reach AWS either.
                "HTTPS_PROXY": "http://127.0.0.1:1",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def paste(self, beginning: str, *, typed: str = "") -> str:
        """Run the only block that is this, or begins like it. Its commands succeed."""
        exact = [block for block in BLOCKS if block == beginning]
        [block] = exact or [block for block in BLOCKS if block.startswith(beginning)]
        self.pasted.add(block)
        return self.run(block, typed=typed)

    def run(self, script: str, *, typed: str = "") -> str:
        output, failed = self._run(script, typed)
        assert not failed, f"{failed}: {output}"
        return output

    def fails(self, script: str) -> str:
        output, failed = self._run(script, "")
        assert failed, output
        return output

    def _run(self, script: str, typed: str) -> tuple[str, str]:
        """The output, and the last command that failed ("" if none)."""
        assert self._bash.stdin
        assert self._bash.stdout
        (self.home / "typed").write_text(typed)
        self._bash.stdin.write(
            f"failed=; trap 'failed=$BASH_COMMAND' ERR\n{{\n{script}\n}} <typed; trap - ERR\n"
            f"echo; echo \"{ENDED}: ${{failed%%$'\\n'*}}\"\n"
        )
        self._bash.stdin.flush()
        lines: list[str] = []
        while not (line := self._bash.stdout.readline()).startswith(ENDED):
            assert line, f"the shell has ended: {lines}"
            lines.append(line)
        return "".join(lines).strip(), line.removeprefix(f"{ENDED}:").strip()

    def close(self) -> None:
        self._bash.communicate("gpgconf --kill all\n")


@pytest.fixture
def terminal(cloud: StageCloud) -> Iterator[Terminal]:
    # Not pytest's directory: gpg's sockets need a short path.
    with (
        tempfile.TemporaryDirectory(prefix="out-", dir="/tmp") as home,
        tempfile.TemporaryDirectory(prefix="aws-", dir="/tmp") as tools,
        loaded_aws(Path(tools)),
    ):
        terminal = Terminal(Path(home), Path(tools), cloud.endpoint)
        yield terminal
        terminal.close()


def archive(text: str) -> bytes:
    """A compressed tar archive with one file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("site/index.html")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


def store(account: Account, bodies: dict[str, bytes]) -> Any:
    """Store backups of the server web1, each on its day, in a vault that keeps versions."""
    s3 = account.client("s3")
    s3.create_bucket(Bucket=VAULT, ObjectLockEnabledForBucket=True)
    for name, body in bodies.items():
        clock.stand_at(datetime.fromisoformat(f"{name[:10]}T14:10Z"))
        old = {"StorageClass": "GLACIER"} if name.startswith("2026-11-19") else {}
        s3.put_object(Bucket=VAULT, Key=f"web1/{name}", Body=body, **old)
    clock.stand_at(datetime(2026, 11, 23, 15, tzinfo=UTC))
    return s3


NIGHTS = [f"2026-11-{day}.tar.gz.gpg" for day in (19, 22, 23)]
HOUR = "2026-11-20.14.sql.gz.gpg"


@pytest.mark.skipif(not shutil.which("aws"), reason="the AWS CLI is not installed")
def test_each_command_of_the_page_works(
    terminal: Terminal, cloud: StageCloud, account: Account
) -> None:
    with Keyring.made() as server:
        plain = {name: archive(f"the files of {name}") for name in NIGHTS}
        plain[HOUR] = compress(b"create table everything;")
        s3 = store(account, dict(zip(plain, server.encrypt([*plain.values()]), strict=True)))
        shutil.copy(server.private_key, terminal.home)
    _, damaged, newest = NIGHTS
    s3.put_object(Bucket=VAULT, Key=f"web1/{damaged}", Body=b"rubbish")
    s3.delete_object(Bucket=VAULT, Key=f"web1/{damaged}")

    # 1. A machine that has nothing, and a key with the rights that the page lists.
    keys = key_of(reader(account, re.findall(r"`(s3:\w+)`", PAGE), bucket=VAULT))
    assert ":user/reader" in terminal.paste("aws configure\n", typed=f"{keys}us-east-1\n\n")
    assert "backups@example.org" in terminal.paste("gpg --import")
    # 2. and 3. What is there.
    terminal.paste("VAULT=")
    assert "PRE web1/" in terminal.paste("aws s3 ls s3://$VAULT\n")
    assert newest in terminal.paste("aws s3 ls s3://$VAULT/$FOLDER\n")
    changed = terminal.paste('aws s3api list-object-versions --bucket $VAULT --prefix "$FOLDER"')
    assert set(re.findall(r"web1/\S+", changed)) == {f"web1/{damaged}"}
    # 4. The newest.
    assert terminal.paste("NAME=$(").endswith(newest)
    assert_restored(terminal, newest, by="aws s3 cp s3://$VAULT/$FOLDER$NAME .\n")
    shutil.rmtree(terminal.home / "restored")
    terminal.paste("mkdir -p restored\naws s3 cp")
    assert restored(terminal) == f"the files of {newest}"
    # 5. A date.
    assert HOUR in terminal.paste("aws s3 ls s3://$VAULT/${FOLDER}2026-11-20")
    terminal.paste("aws s3 cp s3://$VAULT/$FOLDER$NAME .\ngpg")
    assert (terminal.home / "restored.sql").read_text() == "create table everything;"
    # 6. Overwritten, then deleted.
    versions = terminal.paste(f"NAME={damaged}").splitlines()
    newer, _ = versions
    assert newer.split("\t")[1] == str(len(b"rubbish"))
    assert_restored(terminal, damaged, by="VERSION=$(")
    # 7. Archived.
    archived = NIGHTS[0]
    assert terminal.paste(f"NAME={archived}") == "GLACIER"
    assert terminal.paste("aws s3api head-object") == 'ongoing-request="true"'
    assert "GLACIER" in terminal.fails("aws s3 cp s3://$VAULT/$FOLDER$NAME .")
    clock.advance(timedelta(hours=5))
    assert 'ongoing-request="false"' in terminal.paste("aws s3api head-object")
    assert_restored(terminal, archived, by="aws s3 cp s3://$VAULT/$FOLDER$NAME .\n")
    # 8. Another account's.
    theirs = sign_in(cloud, HOLDER)
    theirs.client("s3").create_bucket(Bucket="theirs")
    theirs.client("s3").put_object(Bucket="theirs", Key="db1/one", Body=b"")
    assert "AccessDenied" in terminal.fails("VAULT=theirs; aws s3 ls s3://$VAULT")
    terminal.paste("aws configure --profile", typed=f"{key_of(theirs)}us-east-1\n\n")
    assert "PRE db1/" in terminal.paste("aws s3 ls s3://$VAULT\n")

    assert terminal.pasted == {*BLOCKS} - {INSTALLATION}


def key_of(account: Account) -> str:
    """The access key of a session as `aws configure` asks for it."""
    credentials = account.session.get_credentials()
    assert credentials
    return f"{credentials.access_key}\n{credentials.secret_key}\n"


def assert_restored(terminal: Terminal, name: str, *, by: str) -> None:
    """Download the backup by the block that begins like this, and unpack it by step 4."""
    terminal.paste(by)
    assert (terminal.home / name).exists()
    terminal.paste("mkdir -p restored\ngpg")
    assert restored(terminal) == f"the files of {name}"


def restored(terminal: Terminal) -> str:
    return (terminal.home / "restored" / "site" / "index.html").read_text()


def commands() -> list[list[str]]:
    """Each command of the page that begins with aws and a service, as its words."""
    text = "\n".join(BLOCKS).replace("\\\n", " ")
    lines = re.findall(r"aws (?:s3api|sts) [^\n]+?(?=\)?$)", text, re.MULTILINE)
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_option_exists_also_where_aws_is_not_installed(words: list[str]) -> None:
    _, service, operation, *options = words
    session = botocore.session.get_session()
    model = session.get_service_model(service.replace("s3api", "s3"))
    name = "".join(part.capitalize() for part in operation.split("-"))
    shape = model.operation_model(name).input_shape
    known = {re.sub(r"(?<!^)(?=[A-Z])", "-", member).lower() for member in shape.members}
    named = [word.removeprefix("--") for word in options if word.startswith("--")]
    assert {*named} <= known | {"query", "output"}
    if "query" in named:
        jmespath.compile(options[options.index("--query") + 1])
