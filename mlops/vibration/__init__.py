"""Vibration: bursts of acceleration samples, their levels, spectra, bearing lines and faults."""
