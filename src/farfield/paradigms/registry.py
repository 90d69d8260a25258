"""Every paradigm by the word users type."""

from farfield.paradigms.charges import Charges
from farfield.paradigms.contract import Paradigm
from farfield.paradigms.latent import Latent
from farfield.paradigms.polarizable import Polarizable
from farfield.paradigms.qeq import QEq
from farfield.paradigms.scf import Scf
from farfield.paradigms.short_range import ShortRange

PARADIGMS: dict[str, type[Paradigm]] = {
    "short_range": ShortRange,
    "charges": Charges,
    "latent": Latent,
    "qeq": QEq,
    "polarizable": Polarizable,
    "scf": Scf,
}
