from django.core.validators import RegexValidator
from django.db import models
from django_tenants.models import DomainMixin, TenantMixin

SCHEMA_NAME_PATTERN = r"^[a-z][a-z0-9_]{2,40}$"


class Factory(TenantMixin):
    """A customer: one factory, one PostgreSQL schema."""

    class State(models.TextChoices):
        CREATING = "creating", "Being created"
        ACTIVE = "active", "Active"
        FAILED = "failed", "Could not be created"

    # The schema is made by tenants.services, by replaying recorded statements in a job.
    auto_create_schema = False
    auto_drop_schema = False

    schema_name = models.CharField(
        max_length=41, unique=True, validators=[RegexValidator(SCHEMA_NAME_PATTERN)]
    )
    name = models.CharField(max_length=80)
    time_zone = models.CharField(max_length=64, default="UTC")
    currency = models.CharField(max_length=3, default="EUR")
    state = models.CharField(max_length=12, choices=State.choices, default=State.CREATING)
    created_at = models.DateTimeField(auto_now_add=True)
    ready_at = models.DateTimeField(null=True, blank=True)

    # What a migration run knows of this factory: the digest of the migrations that its schema
    # has, and the error at which it stopped.
    migrations_digest = models.CharField(max_length=64, blank=True)
    migrated_at = models.DateTimeField(null=True, blank=True)
    migration_error = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(schema_name__regex=SCHEMA_NAME_PATTERN),
                name="factory_schema_name_is_allowed",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Domain(DomainMixin):
    """A host name under which the portal of a factory is served."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant"], condition=models.Q(is_primary=True), name="one_primary_domain"
            ),
        ]

    def __str__(self) -> str:
        return str(self.domain)
