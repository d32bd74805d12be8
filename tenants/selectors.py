"""What can be asked about keys, audit entries, mails and the making of factories."""

from uuid import UUID

from django.db.models import QuerySet

from tenants.models import AuditEntry, Credential, Factory, Job, OutgoingMail, User

BUILD = "tenants.build_factory"


def newest_mails(*, n: int) -> QuerySet[OutgoingMail]:
    """Return the mails that were kept instead of sent, newest first."""
    return OutgoingMail.objects.order_by("-created_at", "-pk")[:n]


def founding(*, job_id: UUID, user: User) -> tuple[Job, Factory] | None:
    """Return the job that builds a factory, and the factory; None to who is no member of it."""
    job = Job.objects.filter(pk=job_id, task=BUILD).first()
    if job is None:
        return None
    factory = Factory.objects.filter(
        pk=job.kwargs.get("factory_id"), memberships__user=user
    ).first()
    return (job, factory) if factory else None


def founding_job(factory: Factory) -> Job | None:
    """Return the newest job that was to build a factory."""
    jobs = Job.objects.filter(task=BUILD, kwargs__factory_id=factory.pk)
    return jobs.order_by("-created_at", "pk").first()


def api_keys(factory: Factory) -> QuerySet[Credential]:
    return Credential.objects.filter(factory=factory, kind=Credential.Kind.API).order_by(
        "-created_at", "-pk"
    )


def device_keys(factory: Factory, *, device_id: int) -> QuerySet[Credential]:
    """Return the keys that a device has or had, newest first."""
    return Credential.objects.filter(
        factory=factory, kind=Credential.Kind.DEVICE, device_id=device_id
    ).order_by("-created_at", "-pk")


def audit_entries(factory: Factory) -> QuerySet[AuditEntry]:
    return AuditEntry.objects.filter(factory=factory).order_by("-id")
