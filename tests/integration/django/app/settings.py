"""A site with the admin and the app. Where its database is comes from the test that starts it."""

from __future__ import annotations

import os

SECRET_KEY = "a site of the tests"
USE_TZ = True
# not this machine's own, and with a summer
TIME_ZONE = "America/New_York"
ROOT_URLCONF = "urls"
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "spacer_tasks.django",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["REEF_DATABASE"],
        # a file for the tests too: the one in memory would know no two writers
        "TEST": {"NAME": os.environ["REEF_DATABASE"]},
        "OPTIONS": {"timeout": 30},
    }
}
# thousands of rounds would be most of the time that the tests take
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
