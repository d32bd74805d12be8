from django.db import models


class ClaimCode(models.Model):
    """What a gateway types in to become a device of a factory that it does not know yet.

    Kept as a keyed digest: who reads the database alone can neither use nor guess a code.
    """

    factory = models.ForeignKey(
        "tenants.Factory", on_delete=models.CASCADE, related_name="claim_codes"
    )
    digest = models.BinaryField(max_length=32, unique=True)
    hint = models.CharField(max_length=12)  # the first characters, to recognise it by
    # What devices claimed with it start with.
    group = models.CharField(max_length=60, blank=True)
    note = models.CharField(max_length=120, blank=True)
    max_uses = models.IntegerField(default=1)
    n_used = models.IntegerField(default=0)
    created_by = models.ForeignKey(
        "tenants.User", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["factory", "-created_at"], name="claim_codes_of_factory")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(n_used__gte=0, n_used__lte=models.F("max_uses")),
                name="claim_code_is_used_within_its_bounds",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hint}… of factory {self.factory_id}"


class ClaimGuesses(models.Model):
    """How many codes an address tried in vain within an hour; the empty address is everybody."""

    address = models.CharField(max_length=45)
    hour = models.DateTimeField()
    n = models.IntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["address", "hour"], name="claim_guesses_are_unique")
        ]

    def __str__(self) -> str:
        return f"{self.n} from {self.address or 'everywhere'}"
