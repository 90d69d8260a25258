"""Notices of spins that the network does not see."""

from collections.abc import Iterable, Iterator, Sequence

from farfield.backbone.config import BackboneConfig
from farfield.geometry.isolation import is_isolated
from farfield.notices import Notice
from farfield.system import System

_REMEDY = "model: {backbone: {embed_spin: true}} lets the network see them"


def spins_of(systems: Iterable[System]) -> list[float]:
    """Distinct spins 2S, ascending, of structures that are more than an isolated atom, a ``System`` each."""
    return sorted({float(system.spin[0]) for system in systems if not is_isolated(system)})


def unseen_spins(backbone: BackboneConfig, trained: Sequence[float]) -> Iterator[Notice]:
    """Say so where the spins of training structures differ and no part of the model is told of them."""
    if len(trained) > 1 and not backbone.embed_spin:
        yield Notice(
            "note",
            f"spins (unpaired electrons: {_listed(trained)}) do not reach the model: frames that differ in spin alone "
            f"get one energy. {_REMEDY}",
        )


def unlearned_spins(backbone: BackboneConfig, trained: Sequence[float], given: Iterable[float]) -> str | None:
    """Complain, in words, of spins ``given`` to a network that sees none and was ``trained`` on others.

    None where there is nothing to complain of, or nobody knows what it was trained on.
    """
    strange = sorted(set(given) - set(trained))
    if backbone.embed_spin or not trained or not strange:
        return None
    return (
        f"spins (unpaired electrons: {_listed(strange)}) do not reach this model, which was trained on "
        f"{_listed(trained)} and answers as for that. Trained on structures of all these spins, {_REMEDY}"
    )


def _listed(spins: Sequence[float]) -> str:
    return ", ".join(f"{spin:g}" for spin in spins[:6])
