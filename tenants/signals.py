"""What this floor announces to floors that it does not know."""

from django.dispatch import Signal

# Sent inside the transaction that creates a factory, in the factory's schema; `factory`.
factory_built = Signal()
# Sent inside the transaction that deletes a factory, in the public schema; `schema_name`.
factory_removed = Signal()
