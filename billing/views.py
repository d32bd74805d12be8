"""The webhook: the one door through which Stripe comes in."""

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing import services
from billing.gateways import BadSignature, verified_event

log = structlog.get_logger()


@csrf_exempt  # who sends it is proven by the signature over the raw body
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """Store what Stripe delivers and answer at once; a job applies it.

    200 for an event that is stored, now or before; 400 for a body that Stripe did not sign.
    """
    try:
        event = verified_event(
            body=request.body,
            signature=request.headers.get("Stripe-Signature", ""),
            secret=settings.STRIPE_WEBHOOK_SECRET,
        )
    except BadSignature as error:
        log.warning("billing.webhook.refused", reason=str(error))
        body = {"code": "bad_signature", "message": "The signature does not hold.", "detail": {}}
        return JsonResponse(body, status=400)
    is_new = services.receive(event=event, at=timezone.now())
    return JsonResponse({"received": True, "known": not is_new})
