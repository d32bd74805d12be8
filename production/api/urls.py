from django.urls import path

from production.api import views

app_name = "production-api"
urlpatterns = [
    path("lines", views.Lines.as_view(), name="lines"),
    path("machine-types", views.MachineTypes.as_view(), name="machine-types"),
    path("machines", views.Machines.as_view(), name="machines"),
    path("machines/<uuid:machine_id>", views.MachineDetail.as_view(), name="machine"),
    path("machines/<uuid:machine_id>/failures", views.MachineFailures.as_view(), name="failures"),
]
