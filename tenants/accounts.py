"""How django-allauth fits our people."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from tenants import audit
from tenants.models import User


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Open sign-up with our own words; where people come from is decided by the server alone."""

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        user.email = form.cleaned_data["email"].lower()
        user.name = (form.cleaned_data.get("name") or "")[:120]
        self.set_password(user, form.cleaned_data["password1"])
        if commit:
            user.save()
        return user

    def populate_username(self, request: HttpRequest, user: User) -> None:
        """People are known by their e-mail address."""


@receiver(user_logged_in)
def record_sign_in(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    if getattr(request, "factory", None) is None:  # a factory's host records its own, by ticket
        audit.record(action="sign_in", actor=user)


@receiver(user_login_failed)
def record_failure(credentials: dict[str, Any], **_kwargs: Any) -> None:
    audit.record(
        action="sign_in_failed", actor=None, target=str(credentials.get("email", ""))[:200]
    )
