"""`make demo` tells its story to the end, and fails when a promise is not kept."""

import re
import subprocess
import sys

import pytest
from botocore.exceptions import ClientError

from localcloud import demo
from localcloud.cloud import REPOSITORY
from localcloud.narration import NotAsPromisedError, Shell, expect, expect_refusal


@pytest.fixture(scope="module")
def told(project):
    """What `make demo` prints into a pipe."""
    return subprocess.run(
        [sys.executable, "-m", "localcloud.demo"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_the_demo_succeeds(told):
    assert told.returncode == 0, told.stdout
    assert "All as promised." in told.stdout


@pytest.mark.parametrize(
    "claim",
    [
        "$ chalice deploy --stage dev",
        "$ tar c site | gzip | gpg --batch --passphrase-file passphrase -c | s3cmd put - s3://backups1/",
        "promoted: backup.tar.gz.gpg -> ",
        "s3://backups1/ is empty",
        "contested: backup.tar.gz.gpg -> ",
        "$ diff -r site restored/site",
        "no difference",
    ],
)
def test_the_story_has_every_chapter(told, claim):
    assert claim in told.stdout


def test_the_readme_tells_the_same_story(told):
    """Every heading and command; keys, sizes and times differ from run to run."""
    shown = (REPOSITORY / "README.md").read_text().splitlines()
    for line in told.stdout.splitlines():
        if re.fullmatch(r"[A-Z][^0-9]*[.:]|  \$ [^0-9]*", line):
            assert line in shown


def test_every_attack_is_shown_with_what_s3_answered(told):
    answers = [line.split()[-2:] for line in told.stdout.splitlines() if " 4" in line[-24:]]
    assert answers.count(["403", "AccessDenied"]) == 10
    assert answers.count(["412", "PreconditionFailed"]) == 1


def test_a_pipe_gets_no_colour_codes(told):
    assert "\x1b" not in told.stdout


def test_a_broken_promise_ends_the_demo_with_a_failure(monkeypatch, capsys):
    def story(directory):
        expect(kept=False, otherwise="the vault is empty")

    monkeypatch.setattr(demo, "story", story)
    with pytest.raises(SystemExit) as ended:
        demo.main()
    assert ended.value.code == 1
    assert "Not as promised: the vault is empty" in capsys.readouterr().out


def test_ctrl_c_ends_the_demo_without_a_traceback(monkeypatch, capsys):
    def story(directory):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "story", story)
    with pytest.raises(SystemExit) as ended:
        demo.main()
    assert ended.value.code == 130
    assert "Interrupted" in capsys.readouterr().out


def test_an_attack_that_succeeds_breaks_the_promise():
    with pytest.raises(NotAsPromisedError, match="the server could delete it"):
        expect_refusal("the server", "delete it", lambda: None, code="AccessDenied")


def test_an_attack_that_fails_for_another_reason_breaks_the_promise():
    def call():
        raise ClientError(
            {"Error": {"Code": "NoSuchKey"}, "ResponseMetadata": {"HTTPStatusCode": 404}},
            "DeleteObject",
        )

    with pytest.raises(NotAsPromisedError, match="answered NoSuchKey, not AccessDenied"):
        expect_refusal("the server", "delete it", call, code="AccessDenied")


def test_a_command_that_fails_anywhere_in_its_pipe_breaks_the_promise(tmp_path):
    shell = Shell(directory=tmp_path, environment={"PATH": "/usr/bin:/bin"})
    shell.run("true | true")
    with pytest.raises(NotAsPromisedError, match=r"^false \| true failed$"):
        shell.run("false | true")
