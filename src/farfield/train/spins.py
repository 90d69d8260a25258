"""What is said of spins that the network does not see."""

from collections.abc import Iterator, Sequence

from farfield.backbone.config import BackboneConfig
from farfield.data.frame import Frame
from farfield.geometry.isolation import is_isolated
from farfield.notices import Notice


def unseen_spins(backbone: BackboneConfig, frames: Sequence[Frame]) -> Iterator[Notice]:
    """Say so where spins differ between training frames and no part of the model is told of them."""
    spins = {float(frame.system.spin[0]) for frame in frames if not is_isolated(frame.system)}
    if len(spins) > 1 and not backbone.embed_spin:
        shown = ", ".join(f"{spin:g}" for spin in sorted(spins)[:6])
        yield Notice(
            "note",
            f"spins (unpaired electrons: {shown}) do not reach the model: frames that differ in spin alone get one "
            "energy. model: {backbone: {embed_spin: true}} lets the network see them",
        )
