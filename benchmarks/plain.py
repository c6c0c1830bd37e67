"""What a short script would do instead: `python plain.py managed|single SOURCE DESTINATION`."""

import sys

import boto3


def main() -> None:
    """Move one object (bucket/key) by boto3's managed copy, or by one CopyObject."""
    how, source, destination = sys.argv[1:]
    (from_bucket, from_key), (to_bucket, to_key) = source.split("/", 1), destination.split("/", 1)
    s3 = boto3.client("s3")
    if how == "managed":
        s3.copy({"Bucket": from_bucket, "Key": from_key}, to_bucket, to_key)
    else:
        s3.copy_object(CopySource=source, Bucket=to_bucket, Key=to_key)
    s3.delete_object(Bucket=from_bucket, Key=from_key)


if __name__ == "__main__":
    main()
