"""Pages for what went wrong."""

from django.http import HttpRequest, HttpResponse


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return HttpResponse(
        "This form is too old. Go back, reload the page and send it again.", status=403
    )


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return HttpResponse("Your role may not see this page.", status=403)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return HttpResponse("There is nothing at this address.", status=404)


def broken(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Something broke on our side.", status=500)
