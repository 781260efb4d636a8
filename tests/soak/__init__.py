"""The fault suite: real workers, Redis and S3, which are killed, stopped and made to fail."""
