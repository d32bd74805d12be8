from django.urls import path

from analytics.api import views

app_name = "analytics-api"
urlpatterns = [
    path("floor", views.Floor.as_view(), name="floor"),
    path("machines/<uuid:machine_id>/timeline", views.Timeline.as_view(), name="timeline"),
]
