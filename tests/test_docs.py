"""Compares the documents with the code."""

import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from admin.cli import cli
from admin.stage import PROJECT
from chalicelib.policy.file import _POLICY_SETTINGS, _RULE_SETTINGS
from tests.support.project import POLICY_TOML

README = (PROJECT / "README.md").read_text()
DOCUMENTS = [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *(PROJECT / "docs").glob("*.md")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_named_test_exists(document: Path) -> None:
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", document.read_text()):
        assert f"def {name}(" in (PROJECT / path).read_text(), f"{path}::{name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_has_a_target(document: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_the_policy_of_the_readme_is_the_tested_policy() -> None:
    [example] = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert tomllib.loads(example) == tomllib.loads(POLICY_TOML)


def test_every_key_of_the_policy_is_in_the_readme() -> None:
    for key in (_POLICY_SETTINGS | _RULE_SETTINGS) - {"rule"}:
        assert f"`{key}`" in README, key


def test_the_readme_s_table_lists_exactly_the_commands() -> None:
    listed = re.findall(r"^\| `backups (\w+)`", README, re.MULTILINE)
    assert sorted(listed) == sorted(cli.commands)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_named_command_and_option_exists(document: Path) -> None:
    for name, line in re.findall(r"\bbackups ([a-z]+)\b([^|\n]*)", code(document)):
        assert name in cli.commands, f"backups {name}"
        options = {option for parameter in cli.commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z][a-z-]*", line)) <= options, f"backups {name}{line}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_named_make_target_exists(document: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z]+)", code(document))) <= set(targets)


def code(document: Path) -> str:
    """Return the code of a document: its blocks, and each code span on a line of its own."""
    text = document.read_text()
    blocks = re.findall(r"^ *```.*?\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    spans = [re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", prose)]
    return "\n".join([*blocks, *spans])


def test_every_file_of_the_layout_exists() -> None:
    architecture = (PROJECT / "docs" / "architecture.md").read_text()
    [layout] = re.findall(r"## The layout\n\n```\n(.*?)```", architecture, re.DOTALL)
    folder = PROJECT
    for line in layout.splitlines():
        for name in line.split("  ")[0 if line[0] != " " else 1].split(", "):
            if line[0] != " ":
                folder = PROJECT / name
                assert folder.exists(), name
            else:
                assert (folder / name.strip()).exists(), name


def test_the_list_of_commands_describes_each_command() -> None:
    listed = CliRunner().invoke(cli, ["--help"]).stdout.partition("Commands:\n")[2]
    for line, name in zip(listed.splitlines(), sorted(cli.commands), strict=True):
        assert re.fullmatch(rf"  {name} +[A-Z](?!xample:).*[.?]", line), line
        assert not line.endswith("...")


@pytest.mark.parametrize("command", [None, *cli.commands])
def test_help_starts_with_an_example(command: str | None) -> None:
    subject = cli.commands[command] if command else cli
    assert subject.help is not None
    assert subject.help.startswith("Example: backups ")
