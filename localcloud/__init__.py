"""An AWS for one laptop: S3 with S3's semantics, IAM and Lambda, for the demo and the tests."""
