"""Loops compiled by numba for the processor; every one has a plain-torch reference that tests hold it to."""
