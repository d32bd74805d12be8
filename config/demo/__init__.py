"""The demonstration: two simulated factories, or recorded data, through the whole chain.

`python -m config.demo` stands on the top floor because it uses every app the way customers,
devices and staff do: through services, and through HTTPS with device tokens.
"""
