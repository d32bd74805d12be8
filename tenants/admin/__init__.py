"""What staff see of customers, people, keys and work: never what a factory's machines say."""

from tenants.admin import factories, work

__all__ = ["factories", "work"]
