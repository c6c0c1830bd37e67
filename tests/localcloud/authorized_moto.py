"""moto behind the authorization layer: users, roles, policies and requests for tests."""

import json
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager

import boto3
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as Keys
from botocore.exceptions import ClientError
from moto.server import MotoRequestHandler
from werkzeug.serving import make_server

from localcloud.iam.authorization import Authorization, Credentials
from localcloud.s3.backend import corrected
from localcloud.s3.events import requester
from localcloud.server import ServicesOfMoto

ADMINISTRATOR = Credentials(
    access_key_id="AKIALOCALADMINISTRAT", secret_access_key="administrator/of/the/test"
)
# Each opener reads the certificate authorities of this machine.
WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class AuthorizedMoto:
    """The endpoint, and the senders of all requests that were authorized."""

    def __init__(self):
        self.senders = []
        moto = ServicesOfMoto()

        def app(environ, start_response):
            self.senders.append(requester.get())
            return moto(environ, start_response)

        self._app = Authorization(app, administrator=ADMINISTRATOR)

    @contextmanager
    def served(self):
        server = make_server(
            "127.0.0.1", 0, self._app, threaded=True, request_handler=MotoRequestHandler
        )
        self.endpoint = f"http://127.0.0.1:{server.port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with corrected():
                yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def client(self, service, credentials=ADMINISTRATOR, **config):
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.session_token,
            config=Config(proxies={}, retries={"total_max_attempts": 1}, **config),
        )

    def user(self, *statements, name="web1"):
        iam = self.client("iam")
        iam.create_user(UserName=name)
        if statements:
            iam.put_user_policy(
                UserName=name, PolicyName="own", PolicyDocument=document(*statements)
            )
        return keys_of(iam.create_access_key(UserName=name)["AccessKey"])

    def role(self, *statements, name="promoter"):
        iam = self.client("iam")
        trust = document({"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"})
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))
        answer = self.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="run")
        return keys_of(answer["Credentials"])


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def keys_of(answer):
    return Credentials(
        access_key_id=answer["AccessKeyId"],
        secret_access_key=answer["SecretAccessKey"],
        session_token=answer.get("SessionToken"),
    )


def allow(actions, *resources, **more):
    resources = [f"arn:aws:s3:::{resource}" for resource in resources]
    return {"Effect": "Allow", "Action": actions, "Resource": resources or "*", **more}


def deny(actions, *resources, **more):
    return {**allow(actions, *resources, **more), "Effect": "Deny"}


def refusal(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    error = raised.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]


def is_allowed(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("AccessDenied", "AccessDeniedException"):
            raise
        return False
    return True


def signed(gate, credentials, *, body=b"data", headers=None, key="a", **context):
    """A PUT of backups1/a, signed by botocore."""
    request = AWSRequest(
        method="PUT", url=f"{gate.endpoint}/backups1/{key}", data=body, headers=headers or {}
    )
    request.context.update(context)
    S3SigV4Auth(
        Keys(credentials.access_key_id, credentials.secret_access_key, credentials.session_token),
        "s3",
        "us-east-1",
    ).add_auth(request)
    return request.prepare()


def send(prepared, *, body=None, headers=None, method="PUT"):
    data = prepared.body if body is None else body
    plain = {"Content-Type": "application/octet-stream"}
    every = {**plain, **dict(prepared.headers.items()), **(headers or {})}
    request = urllib.request.Request(prepared.url, data=data, headers=every, method=method)
    try:
        with WITHOUT_PROXY.open(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
