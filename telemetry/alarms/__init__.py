"""When an alarm is on: rules, and their evaluation over readings. Pure; docs/alarms.md."""
