"""What the memory setting, which is a share of a CPU, makes of a promotion: really throttled."""

import ipaddress
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console

from benchmarks.measuring import FULL_CPU_MB, lambda_dollars, measure
from benchmarks.serving import HOST, Seen
from benchmarks.tables import table

SETTINGS_MB = (256, 512, 1024, FULL_CPU_MB)
SIZES = {"10 MB": 10_000_000, "5 GiB": 5 * 1024**3}
ROUNDS = 3
# Only what the bundle holds can be imported, and nothing of it is compiled: as in Lambda, where
# the bundle is read-only.
PROMOTE = """
import runpy, sys
sys.path[:0] = [{bundle!r}]
runpy.run_path("benchmarks/ours.py", run_name="__main__")
"""


def report(console: Console, bundle: Path) -> None:
    """Print what the requests cost in CPU, and how long each setting takes, TLS included."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        certificate = Path(directory) / "certificate.pem"
        _make_certificate(certificate)
        _print_cpu(console, bundle, certificate)
        if sys.platform == "linux":
            _print_settings(console, bundle, certificate)
        else:
            console.print("By memory setting: only Linux can throttle a process as Lambda does.")


def _print_cpu(console: Console, bundle: Path, certificate: Path) -> None:
    rows = []
    for how, given in (("plain HTTP", None), ("TLS", certificate)):
        small, large = (_promote(bundle, size, certificate=given) for size in SIZES.values())
        parts = large.requests["upload_part_copy"]
        rows.append(
            [
                how,
                f"{small.cpu:.2f}",
                f"{large.cpu:.2f}",
                f"{1000 * (large.cpu - small.cpu) / parts:.1f}",
                f"{large.streams}",
                f"{large.megabytes:.0f}",
            ]
        )
    table(
        console,
        "CPU of a cold start and one promotion",
        ["", "10 MB: CPU s", "5 GiB: CPU s", "ms per part", "streams", "peak MB"],
        rows,
    )


def _print_settings(console: Console, bundle: Path, certificate: Path) -> None:
    rows = []
    for memory in SETTINGS_MB:
        row = [str(memory)]
        for size in SIZES.values():
            # What else the machine does can only slow it down.
            seen = min(
                (
                    _promote(bundle, size, certificate=certificate, memory=memory)
                    for _ in range(ROUNDS)
                ),
                key=lambda seen: seen.wall,
            )
            dollars = 1000 * lambda_dollars(seen.wall, memory)
            row += [f"{seen.wall:.1f}", f"{seen.seconds:.1f}", f"{dollars:.3f}"]
        rows.append([*row, f"{lambda_dollars(3600, memory):.4f}"])
    columns = [f"{size}: {what}" for size in SIZES for what in ("cold s", "warm s", "$/1,000")]
    table(
        console,
        "By memory setting, throttled to its share of a CPU, by the wall's clock, over TLS, "
        f"best of {ROUNDS}\n(cold: with the start; warm: from the first request on; "
        "$/1,000: Lambda's, of cold ones)",
        ["memory MB", *columns, "$ per hour of waiting"],
        rows,
    )


def _promote(
    bundle: Path, size: int, *, certificate: Path | None, memory: int | None = None
) -> Seen:
    code = PROMOTE.format(bundle=str(bundle))
    seen = measure(
        [sys.executable, "-I", "-S", "-B", "-c", code, "sql.gz.gpg"],
        uploads={"backups1/sql.gz.gpg": size},
        clock="wall",
        certificate=certificate,
        memory=memory,
    )
    if seen.status:
        raise AssertionError(seen.output)
    return seen


def _make_certificate(path: Path) -> None:
    """A certificate for the model, signed by itself, with its key behind it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a model of S3")])
    now = datetime.now(UTC)
    host = x509.IPAddress(ipaddress.ip_address(HOST))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
