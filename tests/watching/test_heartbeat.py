"""The heartbeat, sent to a real server: up, down, slow, dripping, redirecting."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.certificates import make_tls
from chalicelib.watching import heartbeat
from chalicelib.watching.heartbeat import send_heartbeat
from tests.support.heartbeat_service import Service, serving

TROUBLE = "backups prod: web1/files.gpg is missing & more\n\nAll of it."


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as service:
        yield service


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Yield a service with TLS that this process trusts."""
    tls = make_tls(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.authorities))
    with serving(tls.certificate) as service:
        yield service


def test_all_is_well(service: Service) -> None:
    assert send_heartbeat(f"{service.url}/token?a=b") is None
    assert service.received == [("GET", "/token?a=b", "")]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/token", ("POST", "/token/fail", TROUBLE), id="Healthchecks.io"),
        pytest.param("/token/", ("POST", "/token/fail", TROUBLE), id="a slash at the end"),
        pytest.param("/key/name?create=1", ("POST", "/key/name/fail?create=1", TROUBLE), id="slug"),
        pytest.param(
            "/api/push/token?status=up&msg=OK&ping=",
            (
                "GET",
                "/api/push/token?status=down&msg=backups+prod%3A+web1%2Ffiles.gpg+is+missing+%26+more",
                "",
            ),
            id="Uptime Kuma",
        ),
    ],
)
def test_trouble_is_reported_as_each_service_expects(
    service: Service, path: str, expected: tuple[str, str, str]
) -> None:
    assert send_heartbeat(service.url + path, trouble=TROUBLE) is None
    assert service.received == [expected]


def test_a_long_report_is_cut_off(service: Service) -> None:
    assert send_heartbeat(f"{service.url}/token", trouble="x" * 200_000) is None
    [(_, _, body)] = service.received
    assert len(body) == 100_000


def test_redirects_are_followed(service: Service) -> None:
    service.to = "/token"
    assert send_heartbeat(f"{service.url}/moved") is None
    assert [path for _, path, _ in service.received] == ["/moved", "/token"]


def test_a_redirect_to_itself_ends(service: Service) -> None:
    service.to = "/moved"
    assert send_heartbeat(f"{service.url}/moved") == "ResponseError"
    assert len(service.received) == 4


def test_redirects_are_followed_within_https_only(service: Service, secure: Service) -> None:
    secure.to = f"{secure.url}/token"
    assert send_heartbeat(f"{secure.url}/moved") is None
    secure.to = f"{service.url}/token"
    assert send_heartbeat(f"{secure.url}/moved") == "URLSchemeUnknown"
    assert [path for _, path, _ in secure.received] == ["/moved", "/token", "/moved"]
    assert service.received == []


def test_a_server_without_a_trusted_certificate_is_refused(
    secure: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert send_heartbeat(f"{secure.url}/token") == "SSLError"
    assert secure.received == []


def test_an_error_is_a_failure(service: Service) -> None:
    assert send_heartbeat(f"{service.url}/gone") == "status 404"


@pytest.mark.parametrize("path", ["silent", "drips"])
def test_a_server_that_never_ends_its_response_times_out(
    service: Service, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "SECONDS", 0.2)
    reason = send_heartbeat(f"{service.url}/{path}")
    assert reason in {"no response within 0.2 seconds", "ReadTimeoutError"}
    assert len(service.received) == 1


def test_an_unreachable_server_is_a_failure() -> None:
    with serving() as service:
        pass
    assert send_heartbeat(f"{service.url}/token") == "NewConnectionError"


def test_the_secret_url_is_in_no_reason_and_no_log(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    service.to = "/gone/secret"
    reasons = [
        send_heartbeat(url) for url in (f"{service.url}/moved/secret", "http://127.0.0.1:1/secret")
    ]
    assert None not in reasons
    assert "secret" not in f"{reasons} {caplog.text}"
