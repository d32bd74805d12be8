"""What staff see of customers, people, keys and work: never what a factory's machines say."""

from tenants.admin import factories, visits, work

__all__ = ["factories", "visits", "work"]
