"""What the documents say is compared with what there is."""

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
def test_every_test_that_is_named_exists(document: Path) -> None:
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", document.read_text()):
        assert f"def {name}(" in (PROJECT / path).read_text(), f"{path}::{name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_the_policy_of_the_readme_is_the_one_that_is_tested() -> None:
    [shown] = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert tomllib.loads(shown) == tomllib.loads(POLICY_TOML)


def test_every_setting_of_the_policy_is_in_the_readme() -> None:
    for setting in (_POLICY_SETTINGS | _RULE_SETTINGS) - {"rule"}:
        assert f"`{setting}`" in README, setting


def test_every_command_is_in_the_readme_s_table_and_none_else() -> None:
    listed = re.findall(r"^\| `backups (\w+)`", README, re.MULTILINE)
    assert sorted(listed) == sorted(cli.commands)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_and_option_that_is_named_exists(document: Path) -> None:
    for name, line in re.findall(r"\bbackups ([a-z]+)\b([^|\n]*)", code(document)):
        assert name in cli.commands, f"backups {name}"
        options = {option for one in cli.commands[name].params for option in one.opts}
        assert set(re.findall(r"--[a-z][a-z-]*", line)) <= options, f"backups {name}{line}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z]+)", code(document))) <= set(targets)


def code(document: Path) -> str:
    """What a document shows as code, a line for each piece of a sentence."""
    text = document.read_text()
    blocks = re.findall(r"^ *```.*?\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    spans = [re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", prose)]
    return "\n".join([*blocks, *spans])


def test_every_file_of_the_layout_is_there() -> None:
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


def test_the_list_of_commands_says_what_each_does() -> None:
    listed = CliRunner().invoke(cli, ["--help"]).stdout.partition("Commands:\n")[2]
    for line, name in zip(listed.splitlines(), sorted(cli.commands), strict=True):
        assert re.fullmatch(rf"  {name} +[A-Z](?!xample:).*[.?]", line), line
        assert not line.endswith("...")


@pytest.mark.parametrize("command", [None, *cli.commands])
def test_help_starts_with_an_example(command: str | None) -> None:
    subject = cli.commands[command] if command else cli
    assert subject.help is not None
    assert subject.help.startswith("Example: backups ")
