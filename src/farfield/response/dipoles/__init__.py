"""Dipoles that fields induce."""
