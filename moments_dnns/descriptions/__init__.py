"""Frozen, checked values that decide the numbers of a result. No Keras here."""
