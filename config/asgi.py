"""The one door: ingest before Django, everything else through it."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.core.asgi import get_asgi_application

from config import env

env.require_for_serving()
application = get_asgi_application()
