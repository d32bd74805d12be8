from django.urls import path

from tenants import views

urlpatterns = [
    path("enter/<slug:schema_name>/", views.to_factory, name="to-factory"),
    path("health", views.health, name="health"),
]
