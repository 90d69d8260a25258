"""Sums that terms are made of: loops over pairs, waves and splines, closed under differentiation."""
