"""Benchmarks: how fast experiments run, how they scale, and what that is measured against."""
