"""Tell people and their systems what happens: by mail, by signed webhook, and in Takt.

`notify` writes down what happened and who is to hear of it, in the caller's transaction; workers
deliver it. Any floor may call it. The row of a delivery is the fact: what a broker lost or a
killed worker left is found again by its `next_at`.
"""

from tenants.notifications.planning import notify
from tenants.notifications.topics import register_topic

__all__ = ["notify", "register_topic"]
