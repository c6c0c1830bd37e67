"""IAM's wildcards: what a pattern matches, and whether two patterns match the same string."""

import re
from functools import cache

VARIABLE = re.compile(r"\$\{[^}]*\}")
# No name in S3 or IAM contains this character: a pattern that matches it, and also the longest name
# made of it, matches every name.
ANY_NAME = "\N{WHITE SMILING FACE}"
LONGEST_NAME = 1024


def widest(pattern: str) -> str:
    """The pattern with `*` in place of its variables, such as `${aws:username}`."""
    return VARIABLE.sub("*", pattern) if "${" in pattern else pattern


def matches(pattern: str, value: str) -> bool:
    """Whether the pattern matches exactly this string."""
    return pattern == value or _expression(pattern).fullmatch(value) is not None


@cache
def overlaps(one: str, other: str) -> bool:
    """Whether some string matches both patterns."""
    if not _is_pattern(other):
        return matches(one, other)
    if not _is_pattern(one):
        return matches(other, one)
    # The positions in `one` that the characters of `other` so far can lead to.
    left = _without_stars(one, {0})
    for character in other:
        if character == "*":
            left = {rest for start in left for rest in range(start, len(one) + 1)}
            continue
        step: set[int] = set()
        for index in left:
            if index < len(one) and (one[index] == "*" or "?" in {one[index], character}):
                step.add(index if one[index] == "*" else index + 1)
            elif index < len(one) and one[index] == character:
                step.add(index + 1)
        left = _without_stars(one, step)
    return len(one) in left


@cache
def covers(pattern: str, other: str) -> bool:
    """Whether the pattern matches everything that `other` matches; False can be wrong."""
    if not _is_pattern(other):
        return matches(pattern, other)
    some = other.replace("?", ANY_NAME)
    # A whole name is never empty, but what follows its first characters can be.
    shortest = re.sub(r"(?<![^/:])\*", ANY_NAME, some).replace("*", "")
    longer = (some.replace("*", ANY_NAME * length) for length in (1, LONGEST_NAME))
    return all(matches(pattern, name) for name in (shortest, *longer))


def _is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


def _without_stars(pattern: str, left: set[int]) -> set[int]:
    """These positions in the pattern, and those reached if the stars after them match nothing."""
    reached = set(left)
    for index in left:
        position = index
        while position < len(pattern) and pattern[position] == "*":
            position += 1
            reached.add(position)
    return reached


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text, re.DOTALL)
