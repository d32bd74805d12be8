"""What becomes of parts and lots, from the readings of the stages that made them. No Django."""
