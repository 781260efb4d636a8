"""Points and labels as people's files have them; each format is read by what is in it."""
