"""One table of quantities, and the dataclasses that have a field for each of them."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from farfield.data.config import DataConfig
from farfield.data.frame import Labels
from farfield.data.spellings import USUAL
from farfield.evaluation.errors import MEASURES
from farfield.prediction import Prediction
from farfield.quantities import PER_ATOM, QUANTITIES
from farfield.report.learning import _names
from farfield.report.parity import PARITIES
from farfield.system import PotentialPoints
from farfield.testing.structures import crystal
from farfield.train.config import LossWeights
from farfield.train.fit import COLUMNS
from farfield.train.loss import misfits


def names(cls):
    return {field.name for field in fields(cls)}


def test_every_quantity_has_its_fields():
    assert names(Labels) == names(LossWeights) == set(QUANTITIES)
    assert set(QUANTITIES) <= names(Prediction)
    assert set(QUANTITIES) <= names(DataConfig)
    assert set(QUANTITIES) <= USUAL.keys()


def test_every_quantity_is_shown():
    assert set(QUANTITIES) == {measure.target for measure in MEASURES} - {"binding"}
    assert set(QUANTITIES) == {parity.target for parity in PARITIES} - {"binding"}
    for name, column in COLUMNS.items():
        title, axis = _names(column.removeprefix("valid_"))
        assert title == f"{QUANTITIES[name].label} error"
        assert axis.startswith("RMSE (")
    assert _names("born_charges_rmse") == ("Born charges error", "RMSE (me)")
    assert _names("energy_rmse") == ("Energy error", "RMSE (meV/atom)")


@pytest.mark.parametrize("name", QUANTITIES)
def test_errors_count_as_the_table_says(name):
    """An error of one in every component: what is left of it is volume / atoms^power / force scale."""
    import farfield as ff

    points = PotentialPoints(torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64))
    system = replace(crystal(ff.new_model({"kind": "latent"}, species=["Na", "Cl"])), potential_points=points)
    quantity, atoms, volume = QUANTITIES[name], system.n_atoms, system.volume().item()
    rows = atoms if name in PER_ATOM else 4 if quantity.per_point else 1
    label = torch.zeros(rows, *quantity.shape, dtype=torch.float64)
    predicted = Prediction(**{"energy": torch.zeros(1, dtype=torch.float64)} | {name: label + 1.0})
    found = misfits(predicted, Labels(**{name: label}), system, 2.0)[name]
    size = volume**quantity.by_volume / atoms**quantity.atoms_power / 2.0**quantity.by_forces
    if name == "polarization":  # modulo e a/V
        assert len(found.error) == 3
        np.testing.assert_allclose(found.factor, size)
    elif name in ("dipole", "quadrupole"):  # of molecules
        assert len(found.error) == 0
    else:
        np.testing.assert_allclose(found.error * found.factor, size)
