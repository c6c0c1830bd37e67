"""What a short script would do instead: `plain.py managed|wide|single SOURCE DESTINATION`."""

import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

# As many as ours has at most.
STREAMS = 250


def main() -> None:
    """Move one object (bucket/key) by boto3's managed copy, with more streams, or by CopyObject."""
    how, source, destination = sys.argv[1:]
    (from_bucket, from_key), (to_bucket, to_key) = source.split("/", 1), destination.split("/", 1)
    wide = how == "wide"
    s3 = boto3.client("s3", config=Config(max_pool_connections=STREAMS) if wide else None)
    if how == "single":
        s3.copy_object(CopySource=source, Bucket=to_bucket, Key=to_key)
    else:
        tuned = TransferConfig(max_concurrency=STREAMS) if wide else None
        s3.copy({"Bucket": from_bucket, "Key": from_key}, to_bucket, to_key, Config=tuned)
    s3.delete_object(Bucket=from_bucket, Key=from_key)


if __name__ == "__main__":
    main()
