"""The reference's own tests, run over the reference and over `spacer_tasks.compat`:
`make reference-suite`.
"""
