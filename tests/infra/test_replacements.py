import pytest

from infra.local.failures import Malformed, ServiceFailed
from infra.local.replacements import replaced_environment, replacements

DATABASE = "postgres://takt:s3cret@db.example:5433/takt"
STRIPE = {"STRIPE_API_KEY": "sk_test_1", "STRIPE_WEBHOOK_SECRET": "whsec_1"}


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"DATABASE_URL": "mysql://u@h/d"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgres://u:s3cret@h:99999/d"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgres://u:s3cret@h:0/d"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgres://u:s3cret@/d"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgres://h/d"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgres://u:s3cret@h"}, "DATABASE_URL"),
        ({"DATABASE_URL": "db.example"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgres://u:s3cret@[::1/d"}, "DATABASE_URL"),
        ({"MLFLOW_DATABASE_URL": "sqlite:///mlflow.db"}, "MLFLOW_DATABASE_URL"),
        ({"VALKEY_URL": "http://h:6379"}, "VALKEY_URL"),
        ({"VALKEY_URL": "redis://h:6379/live"}, "VALKEY_URL"),
        ({"S3_ENDPOINT_URL": "s3.example"}, "S3_ENDPOINT_URL"),
        ({"S3_ENDPOINT_URL": "https://s3.example"}, "S3_ACCESS_KEY_ID"),
        ({"S3_BUCKET": "My Bucket"}, "S3_BUCKET"),
        ({"STRIPE_API_BASE": "http://localhost:1"}, "STRIPE_API_KEY"),
        ({"STRIPE_API_KEY": "sk_test_1"}, "STRIPE_WEBHOOK_SECRET"),
        (STRIPE | {"STRIPE_API_KEY": "pk_test_1"}, "STRIPE_API_KEY"),
        (STRIPE | {"STRIPE_WEBHOOK_SECRET": "secret"}, "STRIPE_WEBHOOK_SECRET"),
        (STRIPE | {"STRIPE_API_BASE": "stripe.example"}, "STRIPE_API_BASE"),
        ({"TAKT_BASE_URL": "http://localhost:8443"}, "TAKT_BASE_URL"),
        ({"TAKT_BASE_URL": "https://localhost:8443/takt"}, "TAKT_BASE_URL"),
        ({"TAKT_DEVICE_URL": "http://localhost:8444"}, "TAKT_DEVICE_URL"),
    ],
)
def test_a_malformed_variable_is_refused_by_name(environ, variable):
    with pytest.raises(Malformed) as refusal:
        replacements(environ)

    assert refusal.value.variable == variable
    assert "s3cret" not in str(refusal.value)


def test_nothing_set_replaces_nothing():
    assert replacements({"DATABASE_URL": ""}) == {}


def test_each_part_is_replaced_by_its_variable():
    environ = {
        "DATABASE_URL": DATABASE,
        "VALKEY_URL": "rediss://:pw@cache.example/0",
        "S3_ENDPOINT_URL": "https://s3.example",
        "S3_ACCESS_KEY_ID": "id",
        "S3_SECRET_ACCESS_KEY": "key",
        **STRIPE,
    }

    found = replacements(environ)

    places = {name: (part.host, part.port) for name, part in found.items()}
    assert places == {
        "postgres": ("db.example", 5433),
        "valkey": ("cache.example", 6379),
        "s3": ("s3.example", 443),
        "stripe": ("api.stripe.com", 443),
    }


def test_a_replaced_database_keeps_mlflow_in_a_schema_of_its_own():
    environ = {"DATABASE_URL": DATABASE + "?sslmode=require"}

    env = replaced_environment(environ, replacements(environ))

    assert env["MLFLOW_DATABASE_URL"] == (
        "postgresql+psycopg://takt:s3cret@db.example:5433/takt"
        "?sslmode=require&options=-csearch_path%3Dmlflow"
    )


def test_a_replaced_part_out_of_reach_is_named_with_its_variable():
    found = replacements({"VALKEY_URL": "redis://127.0.0.1:9/0"})

    with pytest.raises(ServiceFailed, match=r"valkey: VALKEY_URL names 127\.0\.0\.1:9"):
        found["valkey"].check()
