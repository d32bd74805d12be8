from django.urls import path

from billing.api import limits, subscription, views

app_name = "billing-api"
urlpatterns = [
    path("usage/", views.UsageView.as_view(), name="usage"),
    path("budget/", limits.BudgetView.as_view(), name="budget"),
    path("caps/", limits.CapsView.as_view(), name="caps"),
    path("plans/", subscription.PlansView.as_view(), name="plans"),
    path("subscription/", subscription.SubscriptionView.as_view(), name="subscription"),
    path("subscription/keep/", subscription.KeepView.as_view(), name="subscription-keep"),
    path("subscription/preview/", subscription.PreviewView.as_view(), name="subscription-preview"),
    path("invoices/", views.InvoiceListView.as_view(), name="invoice-list"),
    path("invoices/<int:invoice_id>/", views.InvoiceView.as_view(), name="invoice"),
    path("invoices/<int:invoice_id>/pdf/", views.InvoicePdfView.as_view(), name="invoice-pdf"),
    path("invoices/<int:invoice_id>/receipt/", views.ReceiptView.as_view(), name="invoice-receipt"),
    path("ledger/", views.LedgerView.as_view(), name="ledger"),
]
