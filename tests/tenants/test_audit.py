import pytest
from django.db import DatabaseError, connection, transaction

from tenants import audit
from tenants.models import AuditEntry


@pytest.fixture
def chain(acme):
    for action in ("device.created", "key.revoked", "plan.changed"):
        audit.record(action=action, actor=None, factory=acme, detail={"n": 1})
    return acme


def test_an_untouched_chain_holds(chain):
    assert audit.verify(factory=chain) is None


@pytest.mark.parametrize("statement", ["UPDATE {} SET action = 'x'", "DELETE FROM {}"])
def test_the_database_refuses_to_change_an_entry(chain, statement):
    table = AuditEntry._meta.db_table
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(table))


def test_an_edit_behind_the_trigger_breaks_the_chain(chain):
    middle = AuditEntry.objects.get(action="key.revoked", factory=chain)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE tenants_auditentry DISABLE TRIGGER audit_is_append_only")
        AuditEntry.objects.filter(pk=middle.pk).update(actor_name="somebody else")
        cursor.execute("ALTER TABLE tenants_auditentry ENABLE TRIGGER audit_is_append_only")

    assert audit.verify(factory=chain) == middle.pk


def test_each_factory_has_a_chain_of_its_own(chain, globex):
    audit.record(action="sign_in", actor=None, factory=globex)

    assert audit.verify(factory=globex) is None
    assert audit.verify(factory=chain) is None
