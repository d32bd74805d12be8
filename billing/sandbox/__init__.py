"""A local stand-in for Stripe Billing: the part of Stripe's API that Takt uses, with state.

It knows customers, catalogue, meters, subscriptions, invoices, payments by test card, checkout and
portal pages, test clocks, events and signed webhooks. It is a server of its own
(`python -m billing.sandbox`), shares nothing with Takt but HTTP, and imports none of its apps.

Contract: docs.stripe.com/api; the shapes are checked against Stripe's published OpenAPI document
in `tests/billing`. What it does not do: tax, discounts, quotes, schedules, and any other payment
method than cards.
"""
