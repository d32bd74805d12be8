"""Outcomes of cases from tables of parameters: what became of a part, a run, a machine."""
