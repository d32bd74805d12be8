from tenants import schema


def test_the_recording_is_current():
    assert schema.load_recording().migrations == schema.current_migrations()


def test_x(in_acme, portal, api_key):
    from production.models import Site

    assert Site.objects.count() == 1
    r = portal("viewer").get("/")
    print(r, r.content[:300])
