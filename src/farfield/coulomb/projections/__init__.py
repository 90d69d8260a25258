"""Potentials projected on what lies around every atom."""

from farfield.coulomb.projections.projections import Projections

__all__ = ["Projections"]
