"""A model: per-element baseline, backbone, paradigm. Made by ``new_model``, written by training, read by ``load``."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ase.data import atomic_numbers, chemical_symbols
from torch import Tensor, nn

from farfield.atomic_write import write_atomically
from farfield.backbone.contract import Features
from farfield.backbone.network import DensityNetwork, typical_surroundings
from farfield.backbone.repulsion import Repulsion
from farfield.backbone.unit_size import UnitSize, measure_sizes
from farfield.conditions import under
from farfield.config import ModelConfig, to_plain, validated
from farfield.data.statistics import Statistics, fit_baseline
from farfield.derive import with_derivatives
from farfield.errors import InputError
from farfield.field import along_lattice, field_energy, polarization_of, quadrupole_of, refuse_stress
from farfield.geometry.home import Home
from farfield.geometry.isolation import isolated_systems
from farfield.model_file import existing_model
from farfield.paradigms.registry import PARADIGMS
from farfield.prediction import Prediction
from farfield.system import System, per_system

FORMAT = 2
_READABLE = (1, 2)
UNITS = {"energy": "eV", "length": "Å", "charge": "e", "stress": "eV/Å³"}


class Model(nn.Module):
    """Energy and everything that follows from it, of a batch of systems.

    The baseline and the energy are float64 whatever the network's type: total energies of 10⁵ eV leave float32
    nothing for chemistry.
    """

    def __init__(self, config: ModelConfig, species: Sequence[int]) -> None:
        super().__init__()
        self.config = config
        self.species = tuple(sorted(species))
        # python numbers, so that no cast rounds them
        self.baseline = [0.0] * len(self.species)  # eV per atom
        self.offset = [0.0] * len(self.species)  # eV per atom, besides, wherever it is not an isolated neutral atom
        self.isolated = [False] * len(self.species)  # whether the baseline is the energy of the isolated neutral atom
        self.training_summary: dict[str, Any] = {}
        room = PARADIGMS[config.paradigm.kind]
        order, mixed = room.order_of(config.paradigm), room.mixing_order_of(config.paradigm)
        self.mixes = mixed is not None
        self.backbone = DensityNetwork(config.backbone, self.species, order, mixed or 0)
        self.repulsion = Repulsion(config.backbone.cutoff) if config.backbone.repulsion == "zbl" else None
        self.paradigm = room(config.paradigm, widths=self.backbone.widths, species=self.species)

    @property
    def gives(self) -> frozenset[str]:
        """Name the quantities it can be asked for."""
        besides = {"external_charge_forces"} if "external_charges" in self.paradigm.takes else set()
        besides |= {"raman_tensors"} if "polarizability" in self.paradigm.gives else set()
        return self.paradigm.gives | besides

    @property
    def charge_flows(self) -> bool:
        """Tell whether charges move through a whole crystal at once, so that its dipole has many values."""
        return "charges" in self.gives and not self.paradigm.dipole_is_single_valued

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the network."""
        return self.backbone.embedding.dtype

    def prepare(self, statistics: Statistics, sample: System) -> None:
        """Take baselines and scales from a training set and a sample batch of it, once, before training.

        Raises:
            InputError: the paradigm cannot represent the data, for instance its total charges.
        """
        self.baseline, self.offset = statistics.baseline.tolist(), statistics.offset.tolist()
        self.isolated = statistics.isolated.tolist()
        self.calibrate(Home.of(sample, self.dtype).system)
        self.paradigm.prepare(statistics)
        self._settle(statistics, sample)

    def calibrate(self, system: System) -> None:
        """Give features, and messages where atoms mix, unit size on this batch."""
        if any(isinstance(module, UnitSize) for module in self.paradigm.modules()):
            measure_sizes(self, partial(self._predict, system))
        else:
            self.backbone.calibrate(system)

    def _settle(self, statistics: Statistics, sample: System) -> None:
        """Take what the untrained charges already contribute out of baseline or offset, element by element."""
        home = Home.of(sample, self.dtype)
        with torch.no_grad():
            energy = _where_they_are(self._predict(home.system), sample, home).energy - self._constants_of(sample)
        element = torch.nn.functional.one_hot(self.backbone.element_of[sample.numbers], len(self.species))
        fixed = torch.where(statistics.pinned, 0.0, torch.nan).double()
        others = torch.ones(sample.n_systems, dtype=torch.bool)
        others[self._isolated_atoms(sample)] = False  # they have their energies already
        counts = per_system(element.double(), sample)[others]
        shift, _ = fit_baseline(counts, -energy[others], fixed)
        self.baseline = (statistics.baseline + torch.where(statistics.isolated, 0.0, shift)).tolist()
        self.offset = (statistics.offset + torch.where(statistics.isolated, shift, 0.0)).tolist()

    def reach(self, system: System) -> float:
        """Å: attach neighbours this far (plus a skin) and nothing downstream searches again."""
        rounded = system if system.positions.dtype == self.dtype else system.to(dtype=self.dtype)
        return max(self.backbone.cutoff, self.paradigm.reach(rounded))

    def forward(
        self, system: System, want: Iterable[str] = ("energy", "forces"), start: Tensor | None = None
    ) -> Prediction:
        """Predict what ``want`` names of a batch; ``start`` is where the paradigm's iteration begins, if it has one.

        What is derived stays differentiable in training mode or where positions or field require a gradient.

        Raises:
            InputError: an element the model was not trained on, a condition it does not take, or a wish it cannot meet.
        """
        wanted = frozenset(want)
        if strange := wanted - self.gives:
            raise InputError(f"{self.config.paradigm.kind} gives {sorted(self.gives)}, not {sorted(strange)}")
        self.check_species(system.numbers)
        self.check_conditions(system)
        single_valued = self.paradigm.dipole_is_single_valued
        if "stress" in wanted and not single_valued:
            refuse_stress(system)
        if "external_charge_forces" in wanted and not single_valued and bool(along_lattice(system).any()):
            raise InputError(
                "forces on external charges in a field along a lattice have no one value where charge flows between "
                "cells: train with conservation: bond or fixed, or qeq with transfer: split_charge"
            )
        variables = [system.positions, *system.conditions.values()]
        if system.external_charges is not None:
            variables += [system.external_charges.positions, system.external_charges.charges]
        graph = torch.is_grad_enabled() and (self.training or any(x.requires_grad for x in variables))
        home = Home.of(
            system, self.dtype, keep_origin=bool(wanted & {"born_charges", "polarizability", "raman_tensors"})
        )
        prediction = with_derivatives(
            partial(self._predict, start=start),
            home.system,
            wanted,
            single_valued=single_valued,
            cells_polarize=self.paradigm.cells_polarize,
            create_graph=graph,
        )
        prediction = _where_they_are(prediction, system, home)
        if "quadrupole" in wanted and prediction.charges is not None:
            quadrupole = quadrupole_of(system, prediction.charges, prediction.dipoles, prediction.quadrupoles)
            prediction = replace(prediction, quadrupole=quadrupole)
        return prediction

    def _predict(self, system: System, start: Tensor | None = None) -> Prediction:
        features = self._features(system)
        begin = {} if start is None else {"start": start.to(self.dtype)}
        prediction: Prediction = self.paradigm(system, features, **begin)
        energy = prediction.energy.double() + self._constants_of(system)
        if self.repulsion is not None:
            energy = energy + self.repulsion(system, features.pairs)
        atoms = self._isolated_atoms(system)
        if len(atoms):
            prediction, energy = self._as_isolated(system, atoms, prediction, energy)
        return replace(prediction, energy=energy)

    def _features(self, system: System) -> Features:
        mix = self.paradigm.mix if self.mixes else None
        features: Features = self.backbone(system, mix)
        return features

    def _isolated_atoms(self, system: System) -> Tensor:
        """Find the systems that are one neutral atom apart from all others, of an element known as such."""
        if not any(self.isolated):
            return system.numbers[:0]
        known = torch.tensor(self.isolated, device=system.numbers.device)[self.backbone.element_of[system.numbers]]
        single = (system.atoms_per_system == 1) & (system.charge == 0) & (per_system(known.long(), system) > 0)
        if system.fermi_level is not None:
            single = single & system.fermi_level.isnan()
        return (single & isolated_systems(system)).nonzero()[:, 0] if bool(single.any()) else system.numbers[:0]

    def _as_isolated(
        self, system: System, which: Tensor, prediction: Prediction, energy: Tensor
    ) -> tuple[Prediction, Tensor]:
        """Give isolated atoms the energy of the baseline, exactly, and what a field or charges outside add to it.

        What conservation shifts in them says nothing of charges in compounds.
        """
        atom = (system.atoms_per_system.cumsum(0) - 1)[which]
        baseline = torch.tensor(self.baseline, dtype=torch.float64, device=atom.device)
        alone = baseline[self.backbone.element_of[system.numbers[atom]]]
        if system.external_field is not None or system.external_charges is not None:
            without = System(
                numbers=system.numbers[atom], positions=system.positions[atom], cell=system.cell[which],
                periodic=system.periodic[which], system_index=torch.arange(len(which), device=atom.device),
                charge=system.charge[which], spin=system.spin[which],
            )  # fmt: skip
            own = self.paradigm(without, self._features(without)).energy.double() + self._constants_of(without)
            alone = alone + energy[which] - own
        energy = energy.index_copy(0, which, alone)
        if prediction.charge_residual is not None:
            prediction = replace(prediction, charge_residual=prediction.charge_residual.index_fill(0, which, 0.0))
        return prediction, energy

    def _constants_of(self, system: System) -> Tensor:
        """Baselines and offsets summed over every system ``(systems,)``, eV."""
        element = self.backbone.element_of[system.numbers]
        constants = torch.tensor([self.baseline, self.offset], dtype=torch.float64, device=element.device).sum(0)
        return per_system(constants[element], system)

    def check(self, system: System, where: str = "") -> None:
        """Complain of a system it could not predict, before anybody waits for it.

        Raises:
            InputError: an unknown element, or a condition, a total charge or a periodicity that the paradigm does
                not take.
        """
        self.check_species(system.numbers, where)
        self.check_conditions(system, where)
        try:
            self.reach(system)
        except InputError as failure:
            raise InputError(f"{where}{failure}") from failure
        only = self.paradigm.only_charge(system.numbers)
        if only is not None and abs(only - float(system.charge.sum())) > 1e-3:
            raise InputError(
                f"{where}its formal charges sum to {only:+.3f} e, but its total charge is "
                f"{float(system.charge.sum()):+g} e: use conservation: shift (charges, latent)"
            )

    def check_conditions(self, system: System, where: str = "") -> None:
        """Complain of conditions and external charges that the paradigm does not take."""
        given = [name for name, values in system.conditions.items() if bool(under(name, values).any())]
        if system.external_charges is not None:
            given.append("external_charges")
        for name in given:
            if name not in self.paradigm.takes:
                raise InputError(
                    f"{where}{self.config.paradigm.kind} takes no {name}; leave info[{name!r}] away, or choose a "
                    f"paradigm that takes one ({_takers(name)})"
                )

    def check_species(self, numbers: Tensor, where: str = "") -> None:
        """Complain of elements the model was not made for."""
        strangers = numbers[self.backbone.element_of[numbers] < 0]
        if len(strangers):
            names = ", ".join(sorted({chemical_symbols[z] for z in strangers.tolist()}))
            known = ", ".join(chemical_symbols[z] for z in self.species)
            raise InputError(f"{where}this model knows {known}; it was not trained on {names}")


def _where_they_are(prediction: Prediction, system: System, home: Home) -> Prediction:
    """The prediction of atoms where they are, of what was found at home: d = d' + Σ z n·A + Q c, F = E - d·E."""
    carried = prediction.charges if prediction.ion_charges is None else prediction.ion_charges
    if home.wrapped is None or home.centre is None or carried is None:
        return prediction
    along, total = per_system(carried.double()[:, None] * home.wrapped, system), system.charge
    if (fermi := system.fermi_level) is not None and prediction.charges is not None:
        total = torch.where(fermi.isnan(), total, per_system(prediction.charges.double(), system))
    gained = along + total[:, None] * home.centre
    felt = gained if fermi is None else torch.where(fermi.isnan()[:, None], gained, along)
    moved: dict[str, Any] = {"energy": prediction.energy + field_energy(felt, system.external_field)}
    if prediction.dipole is not None:
        moved["dipole"] = prediction.dipole + gained
    if prediction.polarization is not None:
        moved["polarization"] = prediction.polarization + polarization_of(gained, system)
    return replace(prediction, **moved)


def _takers(condition: str) -> str:
    return ", ".join(kind for kind, room in PARADIGMS.items() if condition in room.takes) or "none does yet"


def new_model(
    paradigm: dict[str, Any],
    *,
    species: Sequence[int | str],
    cutoff: float = 5.0,
    seed: int = 0,
    backbone: dict[str, Any] | str | None = None,
    dtype: torch.dtype = torch.float64,
) -> Model:
    """An untrained model of any registered kind, e.g. ``new_model({"kind": "latent"}, species=["Na", "Cl"])``.

    ``backbone`` is the name of a preset (fast, default, large) or a dictionary of its keys.

    Raises:
        InputError: a key or value that the paradigm's or the backbone's configuration does not know.
    """
    if strange := [s for s in species if s not in atomic_numbers and s not in range(1, 119)]:
        raise InputError(f"species are symbols or atomic numbers 1-118, not {strange}")
    chosen = {"preset": backbone} if isinstance(backbone, str) else backbone or {}
    config = validated(ModelConfig, {"paradigm": paradigm, "backbone": {"cutoff": cutoff, **chosen}}, "model")
    numbers = [atomic_numbers[s] if isinstance(s, str) else int(s) for s in species]
    return build(config, numbers, seed=seed).to(dtype)


def build(config: ModelConfig, species: Sequence[int], *, seed: int = 0) -> Model:
    """The model of a configuration in float64: constants are exact before any cast, weights the same in any type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = Model(config, species)
            model.calibrate(typical_surroundings(model.species))
            return model
    finally:
        torch.set_default_dtype(before)


def save(model: Model, path: Path | str) -> None:
    """Write ``model.pt``: weights, config, species, baseline, units, version, training summary; atomic."""
    write_atomically(Path(path), to_bytes(contents(model)))


def contents(model: Model) -> dict[str, Any]:
    """Everything that makes a model, as plain types and tensors."""
    from farfield import __version__

    return {
        "format": FORMAT,
        "version": __version__,
        "units": UNITS,
        "config": to_plain(model.config),
        "species": list(model.species),
        "baseline": list(model.baseline),
        "offset": list(model.offset),
        "isolated": list(model.isolated),
        "dtype": str(model.dtype).removeprefix("torch."),
        "weights": {name: value.detach().cpu().clone() for name, value in model.state_dict().items()},
        "training": model.training_summary,
    }


def load(path: Path | str, *, dtype: torch.dtype | None = None, device: str = "cpu") -> Model:
    """A model as training wrote it, ready to predict.

    Raises:
        InputError: no such file, or not a farfield model.
    """
    path = existing_model(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as broken:
        raise InputError(f"{path} is not a farfield model (model.pt as training wrote it), or is damaged") from broken
    if not isinstance(found, dict) or found.get("format") not in _READABLE:
        raise InputError(f"{path} is not a farfield model of format {FORMAT} or older")
    try:
        model = from_contents(found)
    except (KeyError, RuntimeError, InputError) as broken:
        made_by = found.get("version", "another version")
        reason = f": {broken}" if isinstance(broken, InputError) else ""  # a paradigm of a package that is not here
        raise InputError(
            f"{path} was written by farfield {made_by}, which this version cannot read{reason}"
        ) from broken
    return model.to(device=device, dtype=dtype or getattr(torch, found["dtype"])).eval()


def from_contents(found: dict[str, Any]) -> Model:
    """The model that ``contents`` described, in float64."""
    model = build(validated(ModelConfig, _as_named_now(found["config"]), "model"), found["species"])
    model.baseline = list(found["baseline"])
    model.offset = list(found.get("offset", model.offset))  # format 1 had neither
    model.isolated = list(found.get("isolated", model.isolated))
    model.training_summary = found["training"]
    model.load_state_dict(found["weights"])
    return model


def _as_named_now(config: dict[str, Any]) -> dict[str, Any]:
    """Name ``multipoles`` what once was ``charges`` of an order."""
    paradigm = dict(config["paradigm"])
    if paradigm["kind"] == "charges" and (order := paradigm.pop("order", 0)):
        paradigm |= {"kind": "multipoles", "order": order}
    return config | {"paradigm": paradigm}


def to_bytes(found: dict[str, Any]) -> bytes:
    """Serialise as ``torch.save`` writes it."""
    buffer = io.BytesIO()
    torch.save(found, buffer)
    return buffer.getvalue()
