"""Anomalies: is this machine doing something it does not usually do, since when, and where.

`health` is useful from the first hour, `detector` after days of normal running, `online` for a
stream that comes without a past. All of them know arrays only.
"""
