"""Functions of a few lines for the local cloud, and the configuration of their queue."""

import io
import json
import zipfile

ROLE = "arn:aws:iam::123456789012:role/function"
TRUST = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    },
}


def bundle(source):
    """A zip file with one module, `app`."""
    return zipped({"app.py": source})


def zipped(files):
    """A zip file with these texts, by path."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as bundle:
        for path, text in files.items():
            bundle.writestr(path, text)
    return archive.getvalue()


def create(cloud, source, *, name="function", timeout=60, environment=None):
    """Create a function with this source, whose handler is called `handler`; return its ARN."""
    administrator = cloud.session(cloud.administrator)
    iam = administrator.client("iam")
    if not iam.list_roles()["Roles"]:
        iam.create_role(RoleName="function", AssumeRolePolicyDocument=json.dumps(TRUST))
    return administrator.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=ROLE,
        Handler="app.handler",
        Timeout=timeout,
        MemorySize=256,
        Code={"ZipFile": bundle(source)},
        Environment={"Variables": environment or {}},
    )["FunctionArn"]


PID = """
import os
def handler(event, context):
    return os.getpid()
"""
FAILS = "def handler(event, context): raise ValueError(event)"
ANSWERS = "def handler(event, context): return event"


def configure_events(cloud, **settings):
    """Put the configuration of the function's asynchronous events."""
    client = cloud.session(cloud.administrator).client("lambda")
    client.put_function_event_invoke_config(FunctionName="function", **settings)


def reserve(cloud, concurrency):
    """Reserve concurrency for the function; 0 stops it."""
    client = cloud.session(cloud.administrator).client("lambda")
    client.put_function_concurrency(
        FunctionName="function", ReservedConcurrentExecutions=concurrency
    )
