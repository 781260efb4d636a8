"""Points and labels as people's files have them; each format is read by what is in it."""

# more than 12 modules: each way of writing points down has a reader of its own
