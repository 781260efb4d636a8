"""Two workers and one message in all their interleavings; docs/model.md says what is covered."""
