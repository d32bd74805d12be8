"""Run all of Takt on one machine: its servers come from wheels, each replaceable by an address."""
