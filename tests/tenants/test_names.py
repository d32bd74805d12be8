import pytest

from tenants import names, services
from tenants.context import NoFactory, factory_context


@pytest.mark.parametrize(
    ("typed", "derived"),
    [
        ("Acme Precision", "acme_precision"),
        ("Würth & Söhne 3", "wurth_sohne_3"),
        ("  3D-Druck Nord  ", "d_druck_nord"),
        ("x" * 80, "x" * 34),
        ('a"; DROP SCHEMA public; --', "a_drop_schema_public"),
    ],
)
def test_a_schema_name_is_derived_from_letters_and_digits_alone(typed, derived):
    assert services.schema_name_from(typed) == derived
    assert names.is_allowed_schema_name(derived)


@pytest.mark.parametrize("typed", ["", "!!", "汉字", "42", "a-"])
def test_a_name_without_three_letters_is_refused(typed):
    with pytest.raises(services.NameNotUsable):
        services.schema_name_from(typed)


@pytest.mark.parametrize(
    "name", ["public", "pg_catalog", "www", "api", "Acme", "1abc", "a-b", "ab"]
)
def test_reserved_and_malformed_schema_names_are_not_allowed(name):
    assert not names.is_allowed_schema_name(name)


def test_names_outside_the_database_start_with_the_schema(acme):
    with factory_context(acme):
        built = [
            names.cache_key("x", 1),
            names.object_key("models", "a.onnx"),
            names.mlflow_experiment("rul"),
            names.mlflow_model("rul"),
        ]
        channel = names.channel("live")
    assert all(name.startswith("acme") for name in built)
    assert channel == "takt:acme:live"


@pytest.mark.parametrize("part", ["..", "", "a/../b", "/etc", "a//b", "a\\b", "."])
def test_an_object_key_never_leaves_its_factory(acme, part):
    with factory_context(acme), pytest.raises(ValueError, match="object key"):
        names.object_key("models", part)


@pytest.mark.parametrize("build", [names.cache_key, names.mlflow_experiment, names.channel])
def test_without_a_factory_there_is_no_name(db, build):
    with pytest.raises(NoFactory):
        build("x")
