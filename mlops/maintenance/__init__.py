"""Maintenance models: what the numbers mean for a machine that wears."""
