from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_ledger_is_append_only")]

    operations = [
        migrations.RenameField("invoice", "total", "total_minor"),
        migrations.RenameField("invoice", "amount_due", "due_minor"),
        migrations.RenameField("invoice", "amount_paid", "paid_minor"),
        migrations.RenameField("invoiceline", "amount", "amount_minor"),
    ]
