"""Downloads an object to a file or to stdout (`-`) with the AWS Common Runtime's S3 client.

It does the same as version 2 of `aws s3 cp` with `preferred_transfer_client = crt`: a HEAD, then
s3transfer's manager of that client, with its own defaults. Version 1 of the AWS CLI, which is the
only one on PyPI, does not have this client, and boto3 can use it only for AWS itself.
"""

import os
import sys
from urllib.parse import urlsplit

import botocore.session
from s3transfer.crt import (
    BotocoreCRTCredentialsWrapper,
    BotocoreCRTRequestSerializer,
    CRTTransferManager,
    create_s3_crt_client,
)


def main() -> None:
    """Download bucket/key."""
    source, output = sys.argv[1:]
    bucket, _, key = source.partition("/")
    session = botocore.session.get_session()
    region, endpoint = session.get_config_variable("region"), os.environ["AWS_ENDPOINT_URL"]
    credentials = BotocoreCRTCredentialsWrapper(session.get_credentials())
    client = create_s3_crt_client(
        region,
        crt_credentials_provider=credentials.to_crt_credentials_provider(),
        use_ssl=urlsplit(endpoint).scheme == "https",
        verify=os.environ.get("AWS_CA_BUNDLE"),
    )
    serializer = BotocoreCRTRequestSerializer(
        session, {"region_name": region, "endpoint_url": endpoint}
    )
    session.create_client("s3").head_object(Bucket=bucket, Key=key)
    target = sys.stdout.buffer if output == "-" else output
    with CRTTransferManager(client, serializer) as manager:
        manager.download(bucket, key, target).result()


if __name__ == "__main__":
    main()
