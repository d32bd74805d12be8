import pytest

from tenants.permissions import ALL, API_KEY_PERMISSIONS, PERMISSIONS, allowed, requires

TABLE = """
                            owner admin engineer operator viewer
production.view             x     x     x        x        x
telemetry.view              x     x     x        x        x
mlops.view                  x     x     x        x        x
analytics.view              x     x     x        x        x
production.record           x     x     x        x        -
production.work             x     x     x        x        -
telemetry.handle_alarms     x     x     x        x        -
production.manage           x     x     x        -        -
production.plan_work        x     x     x        -        -
telemetry.manage_devices    x     x     x        -        -
telemetry.export            x     x     x        -        -
telemetry.manage_alarms     x     x     x        -        -
mlops.train                 x     x     x        -        -
analytics.manage            x     x     x        -        -
members.view                x     x     x        -        -
members.manage              x     x     -        -        -
billing.view                x     x     -        -        -
billing.manage              x     x     -        -        -
audit.view                  x     x     -        -        -
api_keys.manage             x     x     -        -        -
factory.manage              x     x     -        -        -
webhooks.manage             x     x     -        -        -
factory.delete              x     -     -        -        -
"""


def test_roles_may_do_what_the_table_says():
    head, *rows = TABLE.strip().splitlines()
    roles = head.split()
    written = {
        (role, row.split()[0]): mark == "x"
        for row in rows
        for role, mark in zip(roles, row.split()[1:], strict=True)
    }

    assert {key: allowed(*key) for key in written} == written
    assert {permission for _, permission in written} == ALL
    assert set(roles) == set(PERMISSIONS)


def test_an_api_key_touches_neither_people_nor_money():
    assert not API_KEY_PERMISSIONS & {"members.manage", "billing.manage", "factory.delete"}


def test_a_permission_that_does_not_exist_is_a_mistake():
    with pytest.raises(KeyError):
        requires("telemetry.veiw")
