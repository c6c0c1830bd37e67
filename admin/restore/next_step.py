"""The command that unpacks a restored backup, from the ending of its name."""

import shlex

_DECRYPTED = (".gpg", ".pgp", ".asc")
_READERS = {".gz": "gunzip", ".xz": "unxz", ".bz2": "bunzip2", ".zst": "unzstd"}
# What tar reads by itself: GNU's and that of macOS.
_LETTERS = {".gz": "z", ".xz": "J", ".bz2": "j"}
_SHORT = {".tgz": ".tar.gz", ".txz": ".tar.xz", ".tbz2": ".tar.bz2"}


def next_step(file: str) -> str:
    """A shell command that decrypts and unpacks `file`; "" if its name does not say how.

    a.tar.gz.gpg  ->  mkdir restored && gpg --decrypt a.tar.gz.gpg | tar -xzf - -C restored
    a.sql.gz.gpg  ->  gpg --decrypt a.sql.gz.gpg | gunzip >a.sql
    """
    steps: list[str] = []
    rest, decrypted = _without(file, _DECRYPTED)
    if decrypted:
        steps.append("gpg --decrypt")
    plain, short = _without(rest, _SHORT)
    plain, compressed = _without(plain + _SHORT.get(short, ""), _READERS)
    into, made = f" >{shlex.quote(plain)}", ""
    if plain.endswith(".tar"):
        letter = _LETTERS.get(compressed, "")
        if compressed and not letter:
            steps.append(_READERS[compressed])
        steps.append(f"tar -x{letter}f - -C restored")
        into, made = "", "mkdir restored && "
    elif compressed:
        steps.append(_READERS[compressed])
    if not steps:
        return ""
    first, *others = steps
    opened = f"{first} " if decrypted else f"{first} <"
    return made + " | ".join([opened + shlex.quote(file), *others]) + into


def _without(name: str, endings: dict[str, str] | tuple[str, ...]) -> tuple[str, str]:
    """The name without one of the endings, and that ending."""
    ending = next((ending for ending in endings if name.endswith(ending)), "")
    return name.removesuffix(ending), ending
