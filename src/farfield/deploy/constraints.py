"""Constraints of ASE's in a run: which ensembles take them, how a run is told from one under others."""

import copy
import json
from typing import Any

import ase
from ase.constraints import dict2constraint
from ase.io.jsonio import decode, encode

from farfield.errors import InputError


def check_constraints(atoms: ase.Atoms, ensemble: str) -> None:
    """Complain of constraints that a run cannot keep.

    Raises:
        InputError: any in npt; one that no trajectory can hold, or whose degrees of freedom ASE does not count; all
            degrees of freedom taken.
    """
    if not atoms.constraints:
        return
    names = ", ".join(dict.fromkeys(type(c).__name__ for c in atoms.constraints))
    if ensemble == "npt":
        raise InputError(
            f"npt moves every atom with the cell, and this structure has constraints ({names}): run nve or nvt, or "
            "take them away (atoms.set_constraint() in ASE, the column move_mask in extxyz)"
        )
    for constraint in atoms.constraints:
        _check(constraint, atoms)
    if atoms.get_number_of_degrees_of_freedom() <= 0:
        raise InputError(f"the constraints of this structure ({names}) leave no atom free to move: take some away")


def _check(constraint: Any, atoms: ase.Atoms) -> None:
    name = type(constraint).__name__
    try:
        dict2constraint(decode(encode(constraint.todict())))
    except Exception as failure:  # a constraint can be anybody's
        raise InputError(
            f"ASE cannot write the constraint {name} into a trajectory and read it again, so that a restart would run "
            "without it: take it away (atoms.set_constraint())"
        ) from failure
    try:
        constraint.get_removed_dof(atoms)
    except (AttributeError, NotImplementedError) as failure:
        raise InputError(
            f"ASE does not say how many degrees of freedom {name} takes, so that there is no temperature: "
            "take it away (atoms.set_constraint())"
        ) from failure


def hold(atoms: ase.Atoms, like: ase.Atoms) -> None:
    """Give ``atoms`` the constraints of ``like``, at the lengths that bonds have there.

    What ASE copies forgets those lengths, and would measure them anew where a run goes on.
    """
    held = copy.deepcopy(like.constraints)
    for constraint in held:
        if getattr(constraint, "bondlengths", 0) is None:
            constraint.bondlengths = constraint.initialize_bond_lengths(like)
    atoms.set_constraint(held)


def described(atoms: ase.Atoms) -> list[str]:
    """Every constraint as JSON of what makes it, sorted: equal where they hold the same."""
    held = atoms.copy()
    hold(held, atoms)
    return sorted(
        json.dumps([json.loads(encode(c.todict())), json.loads(encode(getattr(c, "bondlengths", None)))])
        for c in held.constraints
    )
