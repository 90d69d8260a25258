"""Numbers of electrons at the centroid of each element, and what is left of the atom without them."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from ase.data import chemical_symbols
from torch import Tensor

from farfield.chemistry import USUAL, formal_charges, valence_electrons
from farfield.data.statistics import Statistics
from farfield.errors import InputError
from farfield.paradigms.wannier.config import WannierConfig

SHELL = 8
"""Electrons at a centroid around which the usual valence electrons are all gone, as at that of K⁺: the shell below."""


@dataclass(frozen=True)
class ElectronCounts:
    """Whole charges of elements: what the ion and its electrons add up to, and the electrons."""

    net: Tensor  # (species,), float64, e
    electrons: Tensor  # (species,), float64; 0 where there is no centroid

    @classmethod
    def of(
        cls, species: tuple[int, ...], config: WannierConfig, statistics: Statistics | None = None
    ) -> "ElectronCounts":
        """Take what the configuration says, the rest from the labels and total charges of the training set.

        Raises:
            InputError: an element that is not there; labels of an element without electrons; no whole charges that add
                up to the total charges.
        """
        symbols = [chemical_symbols[z] for z in species]
        for name, table in (("electrons", config.electrons), ("ions", config.ions)):
            if strangers := sorted(set(table or {}) - set(symbols)):
                raise InputError(f"{name} names {strangers}, which the data does not hold")
        labelled = set() if statistics is None else _labelled(statistics)
        centred = _centred(species, config.electrons, labelled)
        net = _net_charges(species, _given(config, centred), statistics)
        counts = [_count(z, float(q), config) if s in centred else 0 for z, s, q in zip(species, symbols, net)]
        return cls(net, torch.tensor(counts, dtype=torch.float64))


def _labelled(statistics: Statistics) -> set[str]:
    known = statistics.displacement.isfinite().tolist()
    return {chemical_symbols[z] for z, has in zip(statistics.species, known) if has}


def _centred(species: tuple[int, ...], electrons: Mapping[str, int] | None, labelled: set[str]) -> set[str]:
    """Elements that have a centroid: those named, those labelled, or the anions."""
    if electrons is None:
        return labelled or {chemical_symbols[z] for z in species if USUAL.get(z, 0.0) < 0}
    if nameless := sorted(labelled - set(electrons)):
        raise InputError(f"the data has Wannier displacements of {nameless}: say how many electrons, electrons: {{…}}")
    return set(electrons)


def _given(config: WannierConfig, centred: set[str]) -> dict[str, float]:
    """Net charges that the configuration settles."""
    electrons = config.electrons or {}
    settled = {s: z for s, z in (config.ions or {}).items() if s in electrons or s not in centred}
    return {s: float(z - electrons.get(s, 0)) for s, z in settled.items()}


def _net_charges(species: tuple[int, ...], given: dict[str, float], statistics: Statistics | None) -> Tensor:
    if statistics is None:
        return formal_charges(species, given=given)
    counts, charge = statistics.piece_counts, statistics.piece_charge
    net = formal_charges(species, given=given, counts=counts, charge=charge, exact=True)
    if (net != net.round()).any():
        found = ", ".join(f"{chemical_symbols[z]} {q:+.2f}" for z, q in zip(species, net.tolist()))
        raise InputError(
            f"ions and electrons have whole charges, and the total charges of this data ask for {found}: say both, "
            "ions: {…} and electrons: {…}, or use charges or latent with conservation: shift"
        )
    return net


def _count(number: int, net: float, config: WannierConfig) -> int:
    symbol = chemical_symbols[number]
    if config.electrons is not None:
        return config.electrons[symbol]
    count = round((config.ions or {}).get(symbol, valence_electrons(number)) - net)
    return count if count > 0 else SHELL
