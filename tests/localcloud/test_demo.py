"""`make demo` runs to the end, and fails if a promise is broken."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import admin.deploy
from admin.drill.attacks import NotAsPromisedError as BrokenPromise
from admin.stage import PROJECT
from demo import deployment, story
from demo.narration import NotAsPromisedError, Shell, expect
from demo.scene import open_shell
from localcloud.iam.authorization import Credentials


@pytest.fixture(scope="module")
def temporary():
    """The demo's TMPDIR; not pytest's own directory, because gpg's sockets need a short path."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def output(started_before, temporary):
    """What `make demo` prints into a pipe, in a shell with a proxy and a profile."""
    return subprocess.run(
        [sys.executable, "-m", "demo.story"],
        cwd=started_before,
        env={
            **os.environ,
            "HTTP_PROXY": "http://127.0.0.1:1",
            "AWS_PROFILE": "nobody",
            "TMPDIR": str(temporary),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_the_demo_succeeds(output):
    assert output.returncode == 0, output.stdout
    assert "All as promised." in output.stdout


@pytest.mark.parametrize(
    "claim",
    [
        "$ chalice deploy --stage dev",
        "$ tar c site | gzip | gpg --batch --encrypt --recipient-file backups.pub | s3cmd",
        " | s3cmd --quiet put - s3://backups1/",
        "promoted: backup.tar.gz.gpg -> ",
        "s3://backups1/ is empty",
        "contested: backup.tar.gz.gpg -> ",
        "$ backups restore latest --rule backup.tar.gz.gpg",
        "Size and checksum (CRC64NVME:",
        "$ diff -r site restored/site",
        "$ s3cmd --quiet get s3://backups2/",
        "$ diff -r site by-hand/site",
        "sql.gz.gpg is waiting in backups1",
        "promoted: sql.gz.gpg -> ",
    ],
)
def test_the_story_has_every_chapter(output, claim):
    assert claim in output.stdout


def test_it_ends_with_restores_by_the_command_that_is_printed_and_by_hand(output):
    _, restored, rest = re.split("The server is lost|three plain commands", output.stdout)
    by_hand, _, _ = rest.partition("All as promised")
    [unpacked] = re.findall(r"To unpack it:\s+(.+)", restored)
    assert f"  $ {unpacked}\n" in restored
    assert "$ backups" not in by_hand
    for chapter in (restored, by_hand):
        assert "    no difference\n" in chapter


def test_the_readmes_excerpt_is_in_the_output(output):
    """The README shortens it; days and seconds differ from run to run."""
    [excerpt] = re.findall(
        r"Shortened output:\n\n```\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL
    )
    printed = re.sub(r"\d", "0", output.stdout).splitlines()
    for line in filter(None, re.sub(r"\d", "0", excerpt).splitlines()):
        assert line in printed


def test_every_attack_is_shown_with_s3s_response(output):
    answers = re.findall(r"(\w+) cannot .*: (\d{3} \w+)", output.stdout)
    assert {attacker for attacker, _ in answers} == {"server", "administrator", "promoter"}
    assert [answer for _, answer in answers].count("412 PreconditionFailed") == 3
    assert {answer for _, answer in answers} == {"403 AccessDenied", "412 PreconditionFailed"}


def test_a_pipe_gets_no_colour_codes(output):
    assert "\x1b" not in output.stdout


def test_a_broken_promise_ends_the_demo_with_a_failure(monkeypatch, capsys):
    def broken(directory):
        expect(kept=False, otherwise="the vault is empty")

    monkeypatch.setattr(story, "story", broken)
    with pytest.raises(SystemExit) as ended:
        story.main()
    assert ended.value.code == 1
    assert "Not as promised: the vault is empty" in capsys.readouterr().out


def test_ctrl_c_ends_the_demo_without_a_traceback(monkeypatch, capsys):
    def interrupted(directory):
        raise KeyboardInterrupt

    monkeypatch.setattr(story, "story", interrupted)
    with pytest.raises(SystemExit) as ended:
        story.main()
    assert ended.value.code == 130
    assert "Interrupted" in capsys.readouterr().out


@pytest.fixture
def interrupted_chalice(monkeypatch):
    """A Chalice process interrupted while it has temporary files; yields their directory."""
    directories = []

    def interrupted(command, *, env, **_):
        directories.append(Path(env["TMPDIR"]))
        (directories[0] / "wheels").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", interrupted)
    return directories


def test_an_interrupted_deployment_of_the_demo_leaves_nothing(project, interrupted_chalice):
    key = Credentials(access_key_id="AKIA", secret_access_key="secret")
    with pytest.raises(KeyboardInterrupt):
        deployment.deploy(
            project, stage="dev", endpoint="http://127.0.0.1:1", region="x", credentials=key
        )
    assert not interrupted_chalice[0].exists()


def test_an_interrupted_deployment_leaves_no_temporary_files(
    project, interrupted_chalice, monkeypatch
):
    monkeypatch.setattr(admin.deploy, "PROJECT", project)
    with pytest.raises(KeyboardInterrupt):
        admin.deploy.deploy_app("dev", region=None, profile=None)
    assert not interrupted_chalice[0].exists()


def test_a_broken_promise_in_the_drill_ends_the_demo(monkeypatch):
    def find_something(*_, **__):
        yield from ()
        raise BrokenPromise("server cannot delete it", happened="the request succeeded", why="So.")

    monkeypatch.setattr(story, "drill", find_something)
    cloud = SimpleNamespace(endpoint="http://127.0.0.1:1")
    with pytest.raises(NotAsPromisedError, match="server cannot delete it: the request"):
        story.break_in(cloud)


def test_a_failure_anywhere_in_a_pipe_ends_the_demo(tmp_path):
    shell = Shell(directory=tmp_path, environment={"PATH": "/usr/bin:/bin"})
    shell.run("true | true")
    with pytest.raises(NotAsPromisedError, match=r"^false \| true failed$"):
        shell.run("false | true")


def test_nothing_on_the_server_opens_its_backups(output):
    assert "passphrase-file" not in output.stdout
    assert "The administrator makes a key pair. Servers get only the public key." in output.stdout


def test_nothing_is_left_in_the_temporary_directory(output, temporary):
    """An interrupted Chalice does not remove its files, so the demo does."""
    assert list(temporary.iterdir()) == []


def test_a_space_in_the_path_to_python_does_not_matter(tmp_path, monkeypatch):
    (tmp_path / "a project").symlink_to(sys.prefix)
    python = tmp_path / "a project" / "bin" / Path(sys.executable).name
    monkeypatch.setattr(sys, "executable", str(python))
    cloud = SimpleNamespace(endpoint="http://127.0.0.1:1")
    key = Credentials(access_key_id="AKIA", secret_access_key="secret")
    shell = open_shell(tmp_path, "server", cloud, key)
    assert str(python) in (tmp_path / "bin" / "s3cmd").read_text()
    shell.run("s3cmd --version")
