"""Writes the IAM policy of each function into `.chalice/`, where `chalice deploy` reads it."""

import json
from pathlib import Path

import click

from admin.permissions import Document, function_policies
from admin.stage import PROJECT, StageError, read_stage
from chalicelib.policy import PolicyError
from chalicelib.policy_file import read_policy


def policy_texts(stage_name: str, *, project: Path = PROJECT) -> dict[Path, str]:
    """The text of each policy file of a stage, by its path. Raises StageError, PolicyError."""
    documents = function_policies(
        read_policy(project / "chalicelib" / "policy.toml"), read_stage(stage_name, project=project)
    )
    return {
        project / ".chalice" / f"policy-{stage_name}-{function}.json": _text(document)
        for function, document in documents.items()
    }


@click.command()
@click.option(
    "--stage", default="dev", show_default=True, help="The stage of .chalice/config.json."
)
def write_policies(stage: str) -> None:
    """Example: make policies STAGE=prod

    Writes .chalice/policy-STAGE-FUNCTION.json for each function, from chalicelib/policy.toml.
    """
    try:
        texts = policy_texts(stage)
    except (PolicyError, StageError) as error:
        raise click.UsageError(str(error)) from None
    for path, text in texts.items():
        unchanged = path.exists() and path.read_text(encoding="utf-8") == text
        path.write_text(text, encoding="utf-8")
        click.echo(f"{path.relative_to(PROJECT)}: {'as it was' if unchanged else 'written'}")


def _text(document: Document) -> str:
    return json.dumps(document, indent=2) + "\n"


if __name__ == "__main__":
    write_policies()
