"""Clients of the cloud."""

import os
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.loaders import create_loader

from localcloud.functions.lambda_functions import REGION
from localcloud.iam.callers import Credentials

# Large files: a loader reads them once, and clients are created often.
_SERVICE_DESCRIPTIONS = create_loader()


@dataclass(frozen=True, kw_only=True)
class Session:
    """Creates boto3 clients of the cloud for one user, independent of this shell and ~/.aws."""

    endpoint: str
    credentials: Credentials

    def client(self, service: str, *, config: Config | None = None) -> Any:
        """A boto3 client that uses no proxy; `config` is merged over that."""
        direct = Config(proxies={})
        return self.boto3_session().client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.endpoint,
            config=direct.merge(config) if config else direct,
        )

    def boto3_session(self) -> boto3.Session:
        """A session of this user; its clients need an explicit endpoint_url."""
        isolated = {
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
        core = botocore.session.Session(session_vars=isolated)
        core.register_component("data_loader", _SERVICE_DESCRIPTIONS)
        return boto3.Session(
            aws_access_key_id=self.credentials.access_key_id,
            aws_secret_access_key=self.credentials.secret_access_key,
            aws_session_token=self.credentials.session_token,
            region_name=REGION,
            botocore_session=core,
        )
