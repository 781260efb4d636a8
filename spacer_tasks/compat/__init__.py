"""What users of pyspacer import, over this project: `spacer_tasks.compat.tasks` for `spacer.tasks`.

Modules, names and signatures are those of pyspacer 0.14, and the arguments that 0.13 had. Where
files and numbers differ is in docs/differences.md; docs/from-pyspacer.md has each name beside this
project's own, which are the better ones to write new code with.
"""

# more than 12 modules: pyspacer's own modules, by their names there, and what several of them share
