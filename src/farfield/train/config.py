"""Configuration of a training run."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from farfield.config import ContenderConfig, ModelConfig
from farfield.data.config import DataConfig
from farfield.train.series import in_full

STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)
Weight = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LossWeights:
    """Weights of targets; energies, forces, stress are made dimensionless with the data's force scale first.

    Where no weight is given for multipoles, polarizations and polarizabilities, it is one over the variance of their
    labels: an error as large as their spread counts as much as forces that are nowhere right.
    """

    energy: Weight = 1.0
    """Squared error of the energy per atom; molecules of a few atoms whose total energies matter want 10 to 200."""
    forces: Weight = 1.0
    """Squared error of a force component."""
    stress: Weight = 1.0
    """Squared error of volume × stress, per atom."""
    charges: Weight = 1.0
    """Squared error of an atomic charge, in e²."""
    dipoles: Weight | None = None
    """Squared error of a component of an atom's dipole, in (e·Å)²; one over the labels' variance where absent."""
    quadrupoles: Weight | None = None
    """Squared error of a component of an atom's quadrupole, in (e·Å²)²; one over the labels' variance where absent."""
    wannier_displacement: Weight | None = None
    """Squared error of a component of a Wannier displacement, in Å²; one over the labels' variance where absent."""
    dipole: Weight | None = None
    """Squared error of the dipole per √atoms, in (e·Å)²; one over the labels' variance where absent."""
    quadrupole: Weight | None = None
    """Squared error of the quadrupole per atom, in (e·Å²)²; one over the labels' variance where absent."""
    polarization: Weight | None = None
    """Squared error of volume × polarization per √atoms, modulo e × lattice vectors, in (e·Å)²; one over the labels'
    variance where absent."""
    potential: Weight | None = None
    """Squared error of the potential at a point, in V²; one over the labels' variance where absent."""
    born_charges: Weight = 10.0
    """Squared error of a component of a Born charge, in e²; beside forces less is hardly learned."""
    polarizability: Weight | None = None
    """Squared error of the polarizability per atom, in (e²·Å²/V)²; one over the labels' variance where absent."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PartWeights:
    """Weights of parts that nothing joins, where the file or their bonds say what whole charge each carries."""

    charges: Weight = 30.0
    """Squared error of the charge of a part, in e²."""
    forces: Weight = 1.0
    """Squared error of the force and the torque on a part as a rigid body, over the variance of their labels."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainConfig:
    """Configuration of the fit."""

    epochs: Annotated[int, Field(ge=1)] = 200
    """Passes over the training frames."""
    batch_size: Annotated[int, Field(ge=1)] = 8
    """Frames a step (on each device)."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-2
    """Highest learning rate: about how far a weight (of size one) moves in a step. Muon for matrices, else Adam."""
    schedule: Literal["cosine", "inverse_sqrt", "plateau", "constant"] = "cosine"
    """Cosine to zero at the last epoch; or falling as one over the root of the steps, for runs that end once they are
    good enough; or halved when validation stalls; or constant. The first two after a short warm-up."""
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Part of the run over which the learning rate of the cosine rises; inverse_sqrt takes 20 steps."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Decay of the running average of the weights, which is what is validated and kept; 0 for none."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Gradients longer than this are shortened to it."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Part of the learning rate by which linear maps shrink every step; small data sets want 0.03 to 0.1."""
    huber: Annotated[float, Field(gt=0)] | None = None
    """Errors beyond this many scales count linearly (robust against outliers); squares everywhere where absent."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Stop after this many epochs without a better validation."""
    weights: LossWeights = LossWeights()
    """How much each target counts."""
    parts: PartWeights = PartWeights()
    """How much molecules and ions count, besides, that are far from all others of their frame."""
    precision: Literal["float32", "float64"] = "float32"
    """Floating-point type of the network."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    """cpu, cuda, cuda:1, … or whichever there is."""
    devices: Annotated[int, Field(ge=1)] = 1
    """Processes to train on together."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """CPU threads; torch's own choice where absent."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 60.0
    """Longest time between checkpoints; one is written at the end of every epoch that took long enough, too."""
    tensorboard: bool = False
    """Also log for TensorBoard."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the weights and of the order of the frames."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RunConfig:
    """Everything about a run: what ``farfield train`` and ``farfield compare`` read."""

    data: DataConfig
    """What to learn from."""
    model: ModelConfig
    """What to train."""
    train: TrainConfig = TrainConfig()
    """How."""
    compare: Annotated[tuple[ContenderConfig, ...], BeforeValidator(in_full)] = ()
    """The paradigms of ``farfield compare`` with their keys, or ``{paradigm: …, backbone: …}`` where one has a backbone
    of its own; or the name of a series (nonlocality); every registered paradigm where empty."""
    probe: bool | Literal["fast"] = "fast"
    """Whether ``farfield compare`` also judges models by the laws of physics: true, false or fast (seconds each)."""
    out: Path | None = None
    """Run folder; runs/ and the name of the configuration file where absent."""
