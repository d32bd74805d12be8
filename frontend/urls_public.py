from django.urls import path

from frontend.views import factories, public

app_name = "frontend"
urlpatterns = [
    path("", public.home, name="home"),
    path("factories/", factories.factories, name="factories"),
    path("factories/new/", factories.factory_new, name="factory-new"),
    path("factories/progress/<uuid:job_id>/", factories.factory_progress, name="factory-progress"),
    path(
        "factories/progress/<uuid:job_id>/stream",
        factories.factory_progress_stream,
        name="factory-progress-stream",
    ),
    path("invitations/<str:token>/", factories.invitation, name="invitation"),
    path("mailbox/", public.mailbox, name="mailbox"),
    path("ca.pem", public.certificate, name="certificate"),
]
