"""Describes a way in one sentence."""

from admin.check.reach.facts import Fact, Gain, Kind
from admin.check.reach.search import Found


def sentence_of(found: Found) -> str:
    """Who can do what, step by step: "ci (user) can assume ops (role), which can ..."."""
    words = found.source.label
    if words.startswith("anyone"):  # the name is unchanged
        words = f"A{words[1:]}"
    before: Gain | None = None
    for gain in found.gains:
        if not gain.sentence or (before and _same(gain, before)):
            continue
        words += _link(gain.who, before, found) + gain.sentence + _conditions(gain.conditions)
        before = gain
    holder = found.goal.holder
    words += _so(holder, before, found) + found.goal.sentence
    return words + _conditions(found.goal.proof.conditions)


def steps_of(found: Found) -> list[str]:
    """The steps of a way, each as a sentence of its own."""
    steps = [f"{_label(gain.who, found)} {gain.sentence}" for gain in found.gains if gain.sentence]
    return [*steps, f"{_label(found.goal.holder, found)} {found.goal.sentence}"]


def _same(gain: Gain, before: Gain) -> bool:
    return (gain.who, gain.sentence) == (before.who, before.sentence)


def _link(who: Fact, before: Gain | None, found: Found) -> str:
    if before is None or who == before.who:
        return " and " if before else " "
    if _is_reached(who, before):
        return f", {_relative(who)} "
    return f", and {_label(who, found)} "


def _so(holder: Fact, before: Gain | None, found: Found) -> str:
    if before is None:
        return " "
    if _is_reached(holder, before):
        return f", {_relative(holder)} "
    if holder == before.who:
        return ", and so "
    return f", and so {_label(holder, found)} "


def _is_reached(who: Fact, gain: Gain) -> bool:
    is_new_role = gain.fact.kind is Kind.CREATE and ":role/" in gain.fact.arn
    return who == gain.fact or (is_new_role and who.arn == gain.fact.arn)


def _relative(who: Fact) -> str:
    return "who" if ":user/" in who.arn else "which"


def _label(who: Fact, found: Found) -> str:
    if who == found.source.fact:
        return found.source.label
    _, _, kind_and_name = who.arn.rpartition(":")
    kind, _, path_and_name = kind_and_name.partition("/")
    if any(gain.fact.kind is Kind.CREATE and gain.fact.arn == who.arn for gain in found.gains):
        return f"the new {kind} {path_and_name}"
    return f"{path_and_name.rpartition('/')[2]} ({kind})"


def _conditions(keys: tuple[str, ...]) -> str:
    if not keys:
        return ""
    return f" (if the condition on {' and '.join(dict.fromkeys(keys))} is met)"
