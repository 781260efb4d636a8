"""What learns: models that go through batches of feature vectors and end as layers."""
