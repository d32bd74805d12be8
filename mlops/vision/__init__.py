"""Pictures of parts: what is unusual, what is wrong, where, and what it costs.

Arithmetic on arrays only; no models of Django, no storage. Background: docs/vision.md.
"""
