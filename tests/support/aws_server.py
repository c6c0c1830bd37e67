"""Runs the AWS CLI repeatedly, each time in a forked process that has already imported it.

Its imports, and AWS's descriptions of services, take most of the time of a command. This server
runs in the AWS CLI's own Python. Its argument is the path of a Unix socket, at which it gets each
command from aws_client.py.
"""

import gc
import json
import os
import socket
import sys
from functools import cache

import botocore.session
from awscli.clidriver import create_clidriver, main


def serve(address: str) -> None:
    """Run each command that a client sends, and send back its exit status, one after the other."""
    botocore.session.create_loader = cache(botocore.session.create_loader)
    session = create_clidriver().session
    for service in ("s3", "sts"):
        session.create_client(service, region_name="us-east-1")
    # Otherwise, a forked process would copy most of the memory when it ends.
    gc.freeze()
    with socket.create_server(address, family=socket.AF_UNIX) as listener:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            connection, _ = listener.accept()
            child = os.fork()
            if not child:
                run(connection)
            _, status = os.waitpid(child, 0)
            connection.send(bytes([os.waitstatus_to_exitcode(status) % 256]))
            connection.close()


def run(connection: socket.socket) -> None:
    message, files, *_ = socket.recv_fds(connection, 1 << 20, 4)
    arguments, environment = json.loads(message)
    *streams, directory = files
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.fchdir(directory)
    # The AWS CLI sets this variable when it is imported.
    environment |= {"AWS_DATA_PATH": os.environ["AWS_DATA_PATH"]}
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    sys.exit(main())


if __name__ == "__main__":
    serve(*sys.argv[1:])
