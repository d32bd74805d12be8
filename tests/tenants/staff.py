"""A person of Takt, signed in on the public host."""

import time
from dataclasses import dataclass
from typing import Any

from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from django.test import Client

from tenants import staff
from tenants.models import User
from tests.conftest import PUBLIC_HOST

EMAIL = "sam@takt.example"
PASSWORD = "staff-password-1"


@dataclass
class Desk:
    """A browser on the public host."""

    client: Client
    user: User

    def get(self, path: str, **kwargs: Any) -> Any:
        return self.client.get(path, secure=True, HTTP_HOST=PUBLIC_HOST, **kwargs)

    def post(self, path: str, data: Any = None, **kwargs: Any) -> Any:
        return self.client.post(path, data, secure=True, HTTP_HOST=PUBLIC_HOST, **kwargs)

    def act(self, path: str, action: str, *ids: object, **fields: Any) -> Any:
        """Choose rows of a list and have something done to them."""
        chosen = {"action": action, "index": "0", "_selected_action": list(map(str, ids))}
        return self.post(path, {**chosen, **fields}, follow=True)


def desk(user: User, *, signed_in_s_ago: float = 0.0) -> Desk:
    """Sign a person in on the public host, some time ago."""
    client = Client()
    client.force_login(user)
    session = client.session
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [
        {"method": "password", "at": time.time() - signed_in_s_ago}
    ]
    session[f"{AUTHENTICATION_METHODS_SESSION_KEY}_user"] = str(user.pk)
    session.save()
    return Desk(client, user)


def staff_person(email: str = EMAIL) -> User:
    User.objects.create_user(email, PASSWORD, name="Sam Staff")
    return staff.set_staff(email=email, is_staff=True)
