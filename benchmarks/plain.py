"""Moves an object with a short boto3 script: `plain.py managed|wide|single SOURCE DESTINATION`."""

import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

# The most parts that ours copies at a time.
STREAMS = 250


def main() -> None:
    """Move one object (bucket/key) with copy(), copy() with more streams, or CopyObject."""
    method, source, destination = sys.argv[1:]
    (from_bucket, from_key), (to_bucket, to_key) = source.split("/", 1), destination.split("/", 1)
    wide = method == "wide"
    s3 = boto3.client("s3", config=Config(max_pool_connections=STREAMS) if wide else None)
    if method == "single":
        s3.copy_object(CopySource=source, Bucket=to_bucket, Key=to_key)
    else:
        config = TransferConfig(max_concurrency=STREAMS) if wide else None
        s3.copy({"Bucket": from_bucket, "Key": from_key}, to_bucket, to_key, Config=config)
    s3.delete_object(Bucket=from_bucket, Key=from_key)


if __name__ == "__main__":
    main()
