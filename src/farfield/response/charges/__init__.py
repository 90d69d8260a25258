"""Charges that minimise an energy under constraints."""
