"""Points and labels as people's files have them; each format is read by what is in it."""

# more than 12 modules: each question that a sheet raises has one; ways of writing are in formats
