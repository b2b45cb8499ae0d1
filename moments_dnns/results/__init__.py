"""Moments with what they are, and the folders that keep them."""
