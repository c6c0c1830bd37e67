"""TLS as on AWS: a certificate for the model, and all authorities that botocore trusts."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from botocore.httpsession import where
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.serving import HOST


@dataclass(frozen=True, kw_only=True)
class Tls:
    """Two PEM files: the server's certificate with its key, and the authorities to trust."""

    certificate: Path
    authorities: Path


def make_tls(directory: Path) -> Tls:
    """Write a self-signed certificate, and a list of authorities that also contains it.

    The list has all authorities that botocore trusts, so that clients read as much as on AWS.
    """
    tls = Tls(certificate=directory / "certificate.pem", authorities=directory / "authorities.pem")
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
    public = certificate.public_bytes(serialization.Encoding.PEM)
    tls.certificate.write_bytes(
        public
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    tls.authorities.write_bytes(Path(where()).read_bytes() + public)
    return tls
