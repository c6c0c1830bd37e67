"""A local AWS: S3 with S3's semantics, IAM and Lambda, for the demo and the tests."""
