"""Jobs that come by SQS or AWS Batch, and their answers."""
