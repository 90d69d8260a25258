"""Evaluations against sums done by hand and energies known in closed form."""

import io
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from rich.console import Console

from farfield.data.frame import Fragments, Frame, Labels
from farfield.errors import InputError
from farfield.evaluation import Evaluation, errors, evaluate, table
from farfield.evaluation.errors import significant
from farfield.evaluation.run import fragments_alone
from farfield.prediction import Prediction
from farfield.system import System, per_system
from farfield.units import COULOMB


@dataclass
class PointCharges:
    """E = Σ k q_i q_j / r, the total charge of a system spread evenly over its atoms, plus -3 eV an atom."""

    gives: frozenset[str] = frozenset({"energy", "forces", "stress", "charges", "dipole"})
    species: tuple[int, ...] = (1, 17, 19)
    asked: list[frozenset[str]] = field(default_factory=list)

    def __call__(self, system: System, /, *, want: frozenset[str]) -> Prediction:
        self.asked.append(want)
        own = {1: 0.5, 17: -1.0, 19: 1.0}
        q = torch.tensor([own[z] for z in system.numbers.tolist()], dtype=torch.float64)
        q = q + ((system.charge - per_system(q, system)) / system.atoms_per_system)[system.system_index]
        positions = system.positions.clone().requires_grad_("forces" in want)
        energy = -3.0 * system.atoms_per_system.double()
        for i in range(system.n_atoms):
            for j in range(i):
                if system.system_index[i] == system.system_index[j]:
                    pair = COULOMB * q[i] * q[j] / (positions[i] - positions[j]).norm()
                    energy = energy.index_add(0, system.system_index[i : i + 1], pair[None])
        forces = None
        if "forces" in want:
            grad = torch.autograd.grad(energy.sum(), positions, allow_unused=True)[0] if energy.requires_grad else None
            forces = torch.zeros_like(positions) if grad is None else -grad
        return Prediction(
            energy,
            forces=forces,
            stress=torch.zeros(system.n_systems, 3, 3, dtype=torch.float64),
            charges=q,
            dipole=per_system(q[:, None] * system.positions, system),
            charge_residual=torch.full((system.n_systems,), 0.25, dtype=torch.float64),
            energy_coulomb=energy + 3.0 * system.atoms_per_system.double(),
        )


def system(numbers: list[int], positions: list[list[float]], charge: float = 0.0) -> System:
    return System(
        torch.tensor(numbers), torch.tensor(positions, dtype=torch.float64), torch.zeros(1, 3, 3, dtype=torch.float64),
        torch.zeros(1, 3, dtype=torch.bool), torch.zeros(len(numbers), dtype=torch.int64),
        torch.tensor([charge], dtype=torch.float64), torch.zeros(1, dtype=torch.float64),
    )  # fmt: skip


def salt(distance: float, energy: float = -6.0, **labels: torch.Tensor) -> Frame:
    pair = system([19, 17], [[0, 0, 0], [distance, 0, 0]])
    fragments = Fragments(torch.tensor([0, 1]), torch.tensor([1.0, -1.0]), torch.tensor([-2.5, -2.5]).double())
    return Frame(
        pair, Labels(torch.tensor([energy]).double(), **labels), f"salt.xyz:{distance}", "salt", distance, fragments
    )


def hydrogen(energy: float = -6.5) -> Frame:
    return Frame(system([1, 1], [[0, 0, 0], [0.8, 0, 0]]), Labels(torch.tensor([energy]).double()), "h.xyz", "H2")


def test_binding_energy_is_the_coulomb_energy_of_the_fragments_charges():
    found = evaluate(PointCharges(), [salt(4.0), salt(9.0), hydrogen()]).compared["binding"]
    np.testing.assert_allclose(found.predicted[:2], [-COULOMB / 4, -COULOMB / 9], rtol=1e-12)
    np.testing.assert_allclose(found.reference[:2], -6.0 - (-5.0))
    assert np.isnan(found.predicted[2])
    assert np.isnan(found.reference[2])


def test_a_fragment_keeps_its_own_charge_and_atoms_that_are_not_neighbours_in_the_file():
    # H K H with the hydrogens one fragment of charge -1: alone they hold -½ e each
    frame = Frame(
        system([1, 19, 1], [[0, 0, 0], [0, 5.0, 0], [2.0, 0, 0]]),
        Labels(torch.tensor([0.0]).double()),
        fragments=Fragments(torch.tensor([0, 1, 0]), torch.tensor([-1.0, 1.0]), torch.zeros(2).double()),
    )
    model = PointCharges()
    found = evaluate(model, [frame])
    q = np.array([0.5, 1.0, 0.5]) - 2 / 3
    whole = COULOMB * (q[0] * q[1] / 5 + q[0] * q[2] / 2 + q[1] * q[2] / np.sqrt(29)) - 9
    alone = (COULOMB * 0.25 / 2 - 6) + (-3)
    assert found.compared["binding"].predicted[0] == pytest.approx(whole - alone, abs=1e-12)
    assert found.first_fragment_charge(found.compared["charges"].predicted)[0] == pytest.approx(q[0] + q[2])
    assert found.fragment_charge[0] == -1
    assert model.asked[-1] == {"energy"}


def test_errors_are_those_computed_by_hand():
    frames = [salt(4.0, -6.0), salt(8.0, -7.0), hydrogen(-1.0)]
    found = evaluate(PointCharges(), frames)
    difference = 1e3 * (np.array([-COULOMB / 4 - 6, -COULOMB / 8 - 6, -6.0]) - np.array([-6.0, -7.0, -1.0]))
    rows = {(row.measure, row.group): row for row in errors(found)}
    total, per_atom = rows["energy", None], rows["energy_per_atom", None]
    assert (total.count, total.unit, per_atom.unit) == (3, "meV", "meV/atom")
    assert total.mae == pytest.approx(np.abs(difference).mean())
    assert total.rmse == pytest.approx(np.sqrt((difference**2).mean()))
    assert total.max == pytest.approx(np.abs(difference).max())
    assert per_atom.rmse == pytest.approx(total.rmse / 2)
    assert rows["energy", "H2"].mae == pytest.approx(5000)
    assert rows["binding", "salt"].count == 2
    assert ("binding", "H2") not in rows


def test_vectors_count_by_component_and_are_the_slope():
    forces = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0]]).double()
    row = next(r for r in errors(evaluate(PointCharges(), [salt(4.0, forces=forces)])) if r.measure == "forces")
    wrong = 1e3 * abs(COULOMB / 16 - 1.0)
    assert row.count == 6
    assert row.max == pytest.approx(wrong)
    assert row.mae == pytest.approx(wrong / 3)


def test_missing_labels_are_skipped_and_broken_predictions_are_not():
    nan = torch.full((2, 3), torch.nan).double()
    found = evaluate(
        PointCharges(), [salt(4.0, torch.nan, forces=nan), salt(5.0, -6.0, forces=torch.zeros(2, 3).double())]
    )
    rows = {row.measure: row for row in errors(found)}
    assert rows["energy"].count == 1
    assert rows["forces"].count == 6
    predicted = found.compared["energy"].predicted.copy()
    predicted[1] = np.nan
    broken = replace(found, compared={"energy": replace(found.compared["energy"], predicted=predicted)})
    row = next(row for row in errors(broken) if row.measure == "energy")
    assert row.count == 1
    assert np.isnan(row.rmse)


def test_labels_that_only_some_frames_have():
    found = evaluate(PointCharges(), [salt(4.0), salt(5.0, charges=torch.tensor([0.9, -0.9]).double())], batch_size=1)
    row = next(row for row in errors(found) if row.measure == "charges")
    assert (row.count, row.unit) == (2, "me")
    assert row.mae == pytest.approx(100)


def test_periodic_frames_have_no_dipole_to_compare():
    frame = salt(4.0, dipole=torch.ones(1, 3).double())
    cell = 20 * torch.eye(3).double()[None]
    periodic = replace(frame, system=replace(frame.system, cell=cell, periodic=torch.ones(1, 3, dtype=torch.bool)))
    row = next(row for row in errors(evaluate(PointCharges(), [frame, periodic])) if row.measure == "dipole")
    # d = -1 e · 4 Å along x against 1, and 0 against 1 along y and z
    assert row.count == 3
    assert row.max == pytest.approx(5000)


def test_only_what_is_needed_is_asked_for():
    model = PointCharges()
    found = evaluate(model, [hydrogen()])
    assert model.asked == [{"energy", "charges"}]
    assert set(found.compared) == {"energy", "charges"}
    assert np.isnan(found.compared["charges"].reference).all()
    assert [row.measure for row in errors(found)] == ["energy_per_atom", "energy"]


def test_batches_do_not_change_the_numbers_and_progress_reaches_its_end():
    frames = [salt(3.0 + k) for k in range(5)]
    heard: list[tuple[int, int]] = []
    one = evaluate(PointCharges(), frames, batch_size=1)
    two = evaluate(PointCharges(), frames, batch_size=2, on_batch=lambda done, total: heard.append((done, total)))
    for target, both in one.compared.items():
        np.testing.assert_allclose(both.predicted, two.compared[target].predicted, rtol=1e-13)
    assert heard[-1] == (15, 15)
    assert heard == sorted(heard)
    assert two.seconds_per_atom > 0
    assert (two.charge_residual == 0.25).all()


def test_fragments_alone_have_spins_of_their_own():
    """Signed in the whole, where they may cancel; nothing of the whole's where nobody says whose it is."""
    frame = salt(4.0)
    frame = replace(frame, system=replace(frame.system, spin=torch.tensor([2.0]).double()))
    assert [float(part.system.spin) for part in fragments_alone(frame)] == [0, 0]
    told = replace(frame, fragments=replace(frame.fragments, spins=torch.tensor([1.0, -1.0])))
    assert [float(part.system.spin) for part in fragments_alone(told)] == [1, 1]


BESIDES = ("charge_residual", "energy_coulomb")


def test_the_electrostatic_part_of_the_energy():
    """Of two charges of one electron is K/r, whatever fragments alone have."""
    found = evaluate(PointCharges(), [salt(4.0), salt(5.0)], batch_size=1)
    pairs = np.array([-COULOMB / 4, -COULOMB / 5])
    np.testing.assert_allclose(found.energy_coulomb, pairs, rtol=1e-12)
    assert found.coulomb_per_atom == pytest.approx((pairs.mean() / 2, abs(pairs[0] - pairs[1]) / 4), rel=1e-12)
    assert replace(found, energy_coulomb=np.full(2, np.nan)).coulomb_per_atom is None


def test_saved_and_loaded(tmp_path):
    before = evaluate(PointCharges(), [salt(4.0), hydrogen()])
    before.save(tmp_path / "test.npz")
    after = Evaluation.load(tmp_path / "test.npz")
    assert errors(after) == errors(before)
    for name in ("n_atoms", "numbers", "group", "source", "distance", "frame", "fragment", *BESIDES):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    assert after.seconds_per_atom == before.seconds_per_atom
    assert [path.name for path in tmp_path.iterdir()] == ["test.npz"]


@pytest.mark.parametrize("content", [b"", b"not numpy", b"PK\x03\x04 broken"])
def test_damaged_files_are_named(tmp_path, content):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.npz is not an evaluation"):
        Evaluation.load(tmp_path / "bad.npz")
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(InputError, match="evaluate the model again"):
        Evaluation.load(tmp_path / "other.npz")
    with pytest.raises(InputError, match="there is no evaluation"):
        Evaluation.load(tmp_path / "absent.npz")


def test_what_cannot_be_evaluated():
    with pytest.raises(InputError, match="nothing to evaluate"):
        evaluate(PointCharges(), [])
    with pytest.raises(InputError, match=r"salt\.xyz:4\.0 contains Cl, K; the model knows only H"):
        evaluate(PointCharges(species=(1,)), [salt(4.0)])
    with pytest.raises(InputError, match="at least 1"):
        evaluate(PointCharges(), [hydrogen()], batch_size=0)


def test_the_terminal_table_has_the_numbers():
    console = Console(width=100, record=True, file=io.StringIO())
    rows = errors(evaluate(PointCharges(), [salt(4.0), hydrogen()]))
    console.print(table(rows))
    text = console.export_text()
    assert "Binding energy" in text
    assert significant(rows[0].rmse) in text
    assert "H2" in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.9996, "1.00"),
        (12.345, "12.3"),
        (999.6, "1000"),
        (4321.9, "4322"),
        (2e-5, "2.00e-05"),
        (np.nan, "not finite"),
    ],
)
def test_three_significant_digits(value, shown):
    assert significant(value) == shown


def test_polarizations_are_compared_on_one_branch():
    """Two labels a quantum apart: the same error, and predictions beside them."""

    class Polarized(PointCharges):
        def __call__(self, system: System, /, *, want: frozenset[str]) -> Prediction:
            value = torch.tensor([0.011, 0.0, 0.0], dtype=torch.float64).expand(system.n_systems, 3)
            return replace(super().__call__(system, want=want), polarization=value)

    frames = []
    for branch in (0.0, 8 / 512):
        frame = salt(4.0, polarization=torch.tensor([[0.01, -2 * branch, branch]], dtype=torch.float64))
        crystal = replace(frame.system, cell=8 * torch.eye(3).double()[None], periodic=torch.ones(1, 3).bool())
        frames.append(replace(frame, system=crystal, fragments=None))
    found = evaluate(Polarized(gives=PointCharges().gives | {"polarization"}), frames)
    both = found.compared["polarization"]
    np.testing.assert_allclose(both.predicted - both.reference, [[0.001, 0, 0]] * 2, atol=1e-15)
    row = next(row for row in errors(found) if row.measure == "polarization")
    assert (row.count, row.max, row.unit) == (6, pytest.approx(1.0), "me/Å²")
