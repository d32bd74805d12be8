"""What this floor announces to floors that it does not know."""

from django.dispatch import Signal

# Sent inside the transaction that creates a factory, in the factory's schema; `factory`.
factory_built = Signal()
# Sent before a factory is deleted, outside of that transaction; `factory`, `at`. What a receiver
# raises is logged and keeps nobody.
factory_leaving = Signal()
# Sent inside the transaction that deletes a factory, in the public schema; `schema_name`.
factory_removed = Signal()
