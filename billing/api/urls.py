from django.urls import path

from billing.api import views

app_name = "billing-api"
urlpatterns = [
    path("usage/", views.UsageView.as_view(), name="usage"),
    path("invoices/", views.InvoiceListView.as_view(), name="invoice-list"),
    path("invoices/<int:invoice_id>/", views.InvoiceView.as_view(), name="invoice"),
]
