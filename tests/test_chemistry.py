"""Charges of elements come from compounds: what is of one element alone has no say, and carries what its total says."""

import ase
import pytest
import torch

from farfield.chemistry import ElementCharges, formal_charges, likely_charges, only_total, share_of_elements
from farfield.errors import InputError
from farfield.system import System, concatenate

NA, CL, FE = 11, 17, 26


def of_rows(species, *rows):
    counts = torch.tensor([[float(formula.get(z, 0)) for z in species] for formula, _ in rows], dtype=torch.float64)
    counts = counts.reshape(len(rows), len(species))
    return {"counts": counts, "charge": torch.tensor([float(q) for _, q in rows], dtype=torch.float64)}


def element_charge():
    charges = torch.zeros(119, dtype=torch.float64)
    charges[[NA, CL]] = torch.tensor([1.0, -1.0], dtype=torch.float64)
    return charges


def test_single_ions_are_followed_where_nothing_contradicts():
    rows = of_rows((CL, FE), ({FE: 1}, 3))
    assert formal_charges((CL, FE), **rows, exact=True).tolist() == [-1, 3]


def test_single_ions_give_way_to_compounds():
    """Fe3+ beside FeCl2: the compound says +2, and the ion alone carries its own total."""
    rows = of_rows((CL, FE), ({FE: 1}, 3), ({FE: 1, CL: 2}, 0), ({CL: 1}, -1))
    assert formal_charges((CL, FE), **rows, exact=True).tolist() == [-1, 2]


def test_no_rows_leave_what_is_usual():
    rows = of_rows((NA, CL))
    assert formal_charges((NA, CL), **rows, exact=True).tolist() == [1, -1]
    assert likely_charges((NA, CL), **rows).tolist() == [0, 0]  # as in the metal and in Cl2


def test_given_charges_stay_where_learning_starts():
    """Against totals and single ions alike; the others make up for them."""
    rows = of_rows((NA, CL), ({NA: 1, CL: 1}, 0))
    ions = torch.tensor([1.0, torch.nan], dtype=torch.float64)
    found = likely_charges((NA, CL), **rows, given={"Na": 0.8}, ions=ions)
    assert found[0] == 0.8
    assert found[1] == pytest.approx(-0.8, abs=0.05)
    both = likely_charges((NA, CL), **rows, given={"Na": 0.8, "Cl": -0.7}, ions=ions)
    assert both.tolist() == [0.8, -0.7]
    assert likely_charges((NA, CL), **rows, ions=ions)[0] == 1.0


def test_one_element_alone_shares_its_total_evenly():
    metal = ase.Atoms("Na2", [[0, 0, 0], [2.1, 2.1, 2.1]], cell=[4.2] * 3, pbc=True)
    chlorine = ase.Atoms("Cl2", [[0, 0, 0], [0, 0, 2.0]])
    anion = ase.Atoms("Cl3", [[0, 0, 0], [0, 0, 2.3], [0, 0, 4.6]], info={"charge": -1.0})
    salt = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.4]])
    cation = ase.Atoms("Na", info={"charge": 1.0})
    batch = concatenate([System.from_ase(a) for a in (metal, chlorine, anion, salt, cation)])
    shared = share_of_elements(element_charge(), batch)
    assert shared.tolist() == pytest.approx([0, 0, 0, 0, -1 / 3, -1 / 3, -1 / 3, 1, -1, 1])
    assert only_total(element_charge(), torch.tensor([CL, CL])) is None
    assert only_total(element_charge(), torch.tensor([NA, CL, CL])) == -1.0


def test_origins_in_words():
    nan = torch.nan
    chosen = ElementCharges.of(
        (1, NA, CL, FE), torch.tensor([0.4, 1.0, -1.0, 3.0]), given={"H": 0.4}, ions=torch.tensor([nan, nan, nan, 3.0]),
        stay=True,
    )  # fmt: skip
    assert str(chosen) == "H +0.4 (given), Na +1 (usual), Cl -1 (usual), Fe +3 (its single ion)"
    assert not chosen.all_zero
    assert ElementCharges.of((18,), torch.zeros(1), given=None, ions=torch.tensor([nan]), stay=True).all_zero


def test_an_element_that_is_not_there():
    with pytest.raises(InputError, match="Zn"):
        likely_charges((NA, CL), **of_rows((NA, CL)), given={"Zn": 2.0})
