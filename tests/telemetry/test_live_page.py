"""Who may open the live stream."""

from telemetry import live


def test_a_member_gets_a_stream_that_is_never_cached(portal):
    answer = portal("viewer").get("/live/stream?device=1&device=x")

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/event-stream")
    assert answer.headers["Cache-Control"] == "no-store"
    assert vars(live.stream)["required_permission"] == "telemetry.view"


def test_a_stranger_meets_404_and_who_is_not_signed_in_401(portal, acme, globex, client):
    from tenants.models import User
    from tests.conftest import host_of, sign_in

    stranger = sign_in(User.objects.get(email="owner@globex.example"), globex)

    refused = stranger.get("/live/stream", secure=True, HTTP_HOST=host_of(acme))
    unknown = client.get(
        "/live/stream", secure=True, HTTP_HOST=host_of(acme), HTTP_ACCEPT="text/event-stream"
    )

    assert (refused.status_code, unknown.status_code) == (404, 401)


def test_the_stream_is_read_only(portal):
    assert portal("owner").post("/live/stream").status_code == 405
