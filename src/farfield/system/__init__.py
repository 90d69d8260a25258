"""The one thing that travels between rooms: a frozen batch of atoms, and what goes with them."""

from farfield.system.batch import System, concatenate, join_fragments, per_atom, per_system
from farfield.system.external_charges import ExternalCharges
from farfield.system.neighbor_list import NeighborList
from farfield.system.potential_points import PotentialPoints
from farfield.system.structure_checks import FARTHEST, check_cell

__all__ = [
    "FARTHEST", "ExternalCharges", "NeighborList", "PotentialPoints", "System", "check_cell", "concatenate",
    "join_fragments", "per_atom", "per_system",
]  # fmt: skip
