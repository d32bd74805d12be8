"""A local stand-in for Stripe Billing: the part of its API that subscriptions need, with state.

It is a server of its own (`python -m billing.sandbox`), shares nothing with Takt but HTTP, and
imports none of its apps. What it knows and what it does not: docs/stripe-standin.md.

Contract: docs.stripe.com/api; the shapes are checked against Stripe's published OpenAPI document
in `tests/billing`.
"""
