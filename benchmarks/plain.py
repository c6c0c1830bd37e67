"""What a short script would do instead: `python plain.py managed|single SOURCE DESTINATION`."""

import sys

import boto3


def main() -> None:
    """Move one object (bucket/key) by boto3's managed copy, or by one CopyObject."""
    how, source, destination = sys.argv[1:]
    (from_bucket, from_key), (to_bucket, to_key) = source.split("/", 1), destination.split("/", 1)
    s3 = boto3.client("s3")
    what = {"Bucket": from_bucket, "Key": from_key}
    if how == "managed":
        s3.copy(what, to_bucket, to_key)
    else:
        s3.copy_object(CopySource=what, Bucket=to_bucket, Key=to_key)
    s3.delete_object(**what)


if __name__ == "__main__":
    main()
