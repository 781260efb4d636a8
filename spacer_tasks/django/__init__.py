"""An optional Django app that keeps the records of CoralNet's jobs in the site's database.

`INSTALLED_APPS = [..., "spacer_tasks.django"]` and `manage.py migrate`; Django 4.2 to 5.2. Redis,
wiped, then takes no record with it. docs/coralnet.md says what a record is for.
"""
