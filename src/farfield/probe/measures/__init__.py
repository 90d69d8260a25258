"""Measures that several laws share: slopes, steps, asymptotes, and whether two views are the same."""
