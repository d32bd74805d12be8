from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0005_caps")]

    operations = [
        migrations.AddField(
            model_name="yearlymachines",
            name="wanted_machines",
            field=models.IntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="yearlymachines",
            name="wanted_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="yearlymachines",
            name="renewal_machines",
            field=models.IntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="billingaccount",
            name="details_error",
            field=models.CharField(blank=True, db_default="", max_length=300),
        ),
        migrations.AddField(
            model_name="billingaccount",
            name="codes_used",
            field=models.JSONField(
                blank=True, db_default=models.Value([], models.JSONField()), default=list
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="code_told",
            field=models.BooleanField(db_default=True, default=True),
        ),
    ]
