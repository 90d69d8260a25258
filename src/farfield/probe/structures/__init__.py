"""Structures for the laws where the user has given none: crystals, ions, molecules, a metal."""
