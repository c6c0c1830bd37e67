"""Real keys of gpg, and shell commands that use them."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ENCRYPT = {
    "symmetric": "gpg --symmetric",
    "public key": "gpg --encrypt --recipient backups@example.org",
}


# The lowest number of hash iterations that gpg accepts for a passphrase.
GUESSES = 1024


def new_keyring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fixture's body: a gpg home with a key pair, whose passphrase is entered automatically."""
    # gpg's socket needs a short path.
    home = tmp_path_factory.mktemp("g", numbered=True)
    home.chmod(0o700)
    options = "batch", "pinentry-mode loopback", "passphrase secret", "trust-model always"
    # By default, gpg deliberately slows down each use of a passphrase by a tenth of a second.
    (home / "gpg.conf").write_text("\n".join((*options, f"s2k-count {GUESSES}")) + "\n")
    (home / "gpg-agent.conf").write_text(f"s2k-count {GUESSES}\n")
    run("gpg --quick-gen-key backups@example.org future-default default never", home)
    yield home
    run("gpgconf --kill all", home)


def run(command: str, home: Path, folder: Path | None = None, **more: Any) -> bytes:
    """What a shell command prints; it must succeed."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env={**os.environ, "GNUPGHOME": str(home)},
        cwd=folder or home,
        check=False,
        capture_output=True,
        **more,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
