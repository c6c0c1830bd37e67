"""Prints the result of `backups check --who` as a table of 80 columns."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from admin.check.reach.who import Answer, Power

WIDTH, NAME = 80, 30
TITLES = {
    Power.DESTROY: "Who can destroy backups",
    Power.WRITE: "Who can write backups, but not destroy them",
    Power.READ: "Who can read backups, which are encrypted, and nothing more",
}
UNKNOWN = "! is not on the stage's list of administrators"


def table(answers: Sequence[Answer]) -> Iterator[str]:
    """The lines: for each power, who has it, and how."""
    for power, title in TITLES.items():
        having = [answer for answer in answers if answer.power is power]
        yield title
        for answer in having:
            yield from _row(answer)
        yield from () if having else ("  nobody",)
        yield ""
    if any(_is_marked(answer) for answer in answers):
        yield UNKNOWN
        yield ""


def _row(answer: Answer) -> Iterator[str]:
    mark = "!" if _is_marked(answer) else " "
    names = textwrap.wrap(answer.name, NAME, subsequent_indent="  ")
    steps = [*_steps(answer)]
    for number in range(max(len(names), len(steps))):
        name = names[number] if number < len(names) else ""
        step = steps[number] if number < len(steps) else ""
        yield f"{mark if number == 0 else ' '} {name:<{NAME}} {step}".rstrip()


def _steps(answer: Answer) -> Iterable[str]:
    for step in answer.way:
        # Principals are in the first column, and repeated ones are left out.
        words = step.removeprefix(f"{answer.name} ")
        yield from textwrap.wrap(words, WIDTH - NAME - 3, subsequent_indent="  ")


def _is_marked(answer: Answer) -> bool:
    """Whether the principal should be on the list: reading alone is no power."""
    return not answer.is_known and answer.power is not Power.READ
