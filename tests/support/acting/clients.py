"""Clients of a cloud, one for each service: creating one takes as long as many requests."""

from typing import Any

from botocore import credentials as signing

from localcloud.cloud import Cloud
from localcloud.iam.callers import Credentials

_clients: dict[tuple[str, str], Any] = {}


def client_as(credentials: Credentials, cloud: Cloud, service: str) -> Any:
    """Return the shared client of a service, with these credentials until the next call."""
    at = (cloud.endpoint, service)
    if at not in _clients:
        _clients[at] = cloud.session(cloud.administrator).client(service)
    _clients[at]._request_signer._credentials = signing.Credentials(
        credentials.access_key_id, credentials.secret_access_key, credentials.session_token
    )
    return _clients[at]
