"""Django's `migrate`, which does not live through the tables of factories in the shared schema.

In `public` the migrations of a factory's apps change nothing: the router keeps their tables out.
Django would still build all their models anew at every step, which was most of what the first start
of an installation takes. No shared migration may look at them (a shared model never points into a
factory's schema), so there they are noted as applied and no more.
"""

from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.commands import migrate
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState
from django_tenants.utils import get_public_schema_name

from tenants.connection import schemas


class SharedExecutor(MigrationExecutor):
    """In a factory's schema it does what Django's does."""

    @property
    def _is_in_public(self) -> bool:
        return bool(schemas.schema_name == get_public_schema_name())

    def apply_migration(
        self,
        state: ProjectState,
        migration: Migration,
        fake: bool = False,
        fake_initial: bool = False,
    ) -> ProjectState:
        if self._is_in_public and migration.app_label in _labels_of_factories():
            fake = True
        return super().apply_migration(state, migration, fake=fake, fake_initial=fake_initial)

    def migrate(
        self, targets: Any, plan: Any = None, state: Any = None, fake: bool = False,
        fake_initial: bool = False,
    ) -> ProjectState:  # fmt: skip
        plan = self.migration_plan(targets) if plan is None else plan
        after = super().migrate(targets, plan, state, fake, fake_initial)
        if not self._is_in_public or any(backwards for _, backwards in plan):
            return after
        # What follows writes content types and permissions, those of a factory's models too.
        whole: ProjectState = self.loader.project_state()
        return whole


def _labels_of_factories() -> set[str]:
    of_factories = set(settings.TENANT_APPS) - set(settings.SHARED_APPS)
    return {each.label for each in apps.get_app_configs() if each.name in of_factories}


class Command(migrate.Command):
    """Named in settings as what django-tenants runs in each schema."""

    def handle(self, *args: Any, **options: Any) -> None:
        # Django's command offers no other place to name its executor.
        setattr(migrate, "MigrationExecutor", SharedExecutor)  # noqa: B010
        super().handle(*args, **options)
