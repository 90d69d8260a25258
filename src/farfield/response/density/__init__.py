"""Charges and dipoles that respond to the potential they make."""
