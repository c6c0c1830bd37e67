"""The command that unpacks a restored backup, from the ending of its name."""

import shlex

_READERS = {".gz": "gunzip", ".zst": "zstd --decompress", ".xz": "unxz", ".bz2": "bunzip2"}
_TAR_READS = {".gz": "z", ".xz": "J", ".bz2": "j"}


def next_step(file: str) -> str:
    """A shell command that decrypts and unpacks `file`, as far as its name says how it was made.

    backup.tar.gz.gpg  ->  gpg --decrypt backup.tar.gz.gpg | tar -xzf -
    """
    steps: list[str] = []
    rest = file
    for ending in (".gpg", ".pgp", ".asc"):
        if rest.endswith(ending):
            steps, rest = ["gpg --decrypt"], rest.removesuffix(ending)
            break
    compressed = next((ending for ending in _READERS if rest.endswith(ending)), "")
    plain = rest.removesuffix(compressed)
    if plain.endswith(".tar"):
        if compressed and compressed not in _TAR_READS:
            steps.append(_READERS[compressed])
            compressed = ""
        steps.append(f"tar -x{_TAR_READS.get(compressed, '')}f -")
        plain = ""
    elif compressed:
        steps.append(_READERS[compressed])
    if not steps:
        return f"less {shlex.quote(file)}"
    first, *others = steps
    if first.startswith("gpg"):
        commands = [f"{first} {shlex.quote(file)}", *others]
    else:
        commands = [f"{first} <{shlex.quote(file)}", *others]
    into = f" >{shlex.quote(plain)}" if plain else ""
    return " | ".join(commands) + into
