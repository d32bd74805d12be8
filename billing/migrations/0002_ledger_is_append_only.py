from django.db import migrations

FUNCTION = """
CREATE FUNCTION billing_ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the usage ledger is append-only';
END $$
"""
TRIGGER = """
CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE ON billing_ledgerentry
FOR EACH ROW EXECUTE FUNCTION billing_ledger_is_append_only()
"""
WHOLE_HOURS = """
ALTER TABLE billing_ledgerentry ADD CONSTRAINT ledger_rows_are_whole_hours CHECK (
    mod(extract(epoch FROM hour)::bigint, 3600) = 0
    AND mod(extract(epoch FROM billed_hour)::bigint, 3600) = 0
)
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [
        migrations.RunSQL(
            sql=[FUNCTION, TRIGGER, WHOLE_HOURS],
            reverse_sql=[
                "ALTER TABLE billing_ledgerentry DROP CONSTRAINT ledger_rows_are_whole_hours",
                "DROP TRIGGER ledger_is_append_only ON billing_ledgerentry",
                "DROP FUNCTION billing_ledger_is_append_only",
            ],
        ),
    ]
