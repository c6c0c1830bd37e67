"""A throw-away key pair for the backups of `make local ARGS=--seeded`."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Keyring:
    """A throw-away key pair in a directory, whose path must be short for gpg's sockets."""

    home: Path

    @property
    def private_key(self) -> Path:
        """The file with the private key."""
        return self.home / "backups-private.asc"

    @property
    def _public_key(self) -> Path:
        return self.home / "backups.pub"

    @classmethod
    @contextmanager
    def made(cls) -> Iterator["Keyring"]:
        """A new key pair without a passphrase, which is removed when the block ends."""
        with tempfile.TemporaryDirectory(prefix="seeded-") as directory:
            keyring = cls(Path(directory))
            keyring._make()
            try:
                yield keyring
            finally:
                keyring._run("gpgconf", "--kill", "all")

    def _make(self) -> None:
        name = "backups@example.org"
        self._gpg("--quick-gen-key", name, "future-default", "default", "never")
        self._gpg("--armor", "--output", str(self.private_key), "--export-secret-keys", name)
        self._gpg("--output", str(self._public_key), "--export", name)

    def encrypt(self, bodies: Sequence[bytes]) -> list[bytes]:
        """Encrypt each with a single gpg process, which takes longer to start than to encrypt."""
        folder = self.home / "plain"
        folder.mkdir()
        paths = [folder / str(number) for number in range(len(bodies))]
        for path, body in zip(paths, bodies, strict=True):
            path.write_bytes(body)
        to = ("--recipient-file", str(self._public_key), "--compress-algo", "none")
        self._gpg(*to, "--multifile", "--encrypt", stdin="".join(f"{path}\n" for path in paths))
        encrypted = [path.with_suffix(".gpg").read_bytes() for path in paths]
        shutil.rmtree(folder)
        return encrypted

    def _gpg(self, *arguments: str, stdin: str = "") -> None:
        self._run("gpg", "--batch", "--quiet", "--passphrase", "", *arguments, stdin=stdin)

    def _run(self, *command: str, stdin: str = "") -> None:
        environment = {**os.environ, "GNUPGHOME": str(self.home)}
        subprocess.run(command, input=stdin, env=environment, text=True, check=True)
