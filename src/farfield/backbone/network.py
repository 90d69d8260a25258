"""Our own equivariant network: atomic densities, their products, and a few layers of message passing."""

import math
from dataclasses import dataclass
from typing import cast

import ase
import numpy as np
import torch
from torch import Tensor, nn

from farfield.backbone.angular import cartesian_form, spherical_harmonics
from farfield.backbone.bonds import BondTable, bonds_of
from farfield.backbone.config import BackboneConfig
from farfield.backbone.contract import Features, Widths
from farfield.backbone.kernels import gather
from farfield.backbone.linear import UnitLinear
from farfield.backbone.product import ChannelMix, DensityProducts, orders
from farfield.backbone.radial import RadialBasis, RadialNetwork
from farfield.backbone.repulsion import covalent_radius, softened
from farfield.backbone.unit_size import UnitSize, measure_sizes
from farfield.geometry.neighbors import Pairs, pairs_within
from farfield.system import System


@dataclass(frozen=True)
class Surroundings:
    """What the layers ask of the geometry."""

    bonds: BondTable
    waves: Tensor  # (bonds, radial)
    harmonics: Tensor  # (bonds, m), seen from the first atom


class DensityNetwork(nn.Module):
    """Features from densities A_i = Σ_j R(r_ij) Y_lm(r̂_ij) h_j, multiplied with themselves, layer after layer.

    ``l_out`` is the highest order that comes out (0: scalars only, which costs least).
    """

    element_of: Tensor
    radius: Tensor

    def __init__(self, config: BackboneConfig, species: tuple[int, ...], l_out: int) -> None:
        super().__init__()
        self.config, self.l_out = config, min(l_out, config.l_max)
        element_of = torch.full((119,), -1)
        element_of[list(species)] = torch.arange(len(species))
        self.register_buffer("element_of", element_of, persistent=False)
        self.embedding = nn.Parameter(torch.randn(len(species), config.channels))
        self.register_buffer("radius", covalent_radius(self.embedding), persistent=False)  # Å
        conditions = int(config.embed_charge) + int(config.embed_spin)
        self.conditions = nn.Parameter(0.5 * torch.randn(conditions, len(species), config.channels))
        self.basis = RadialBasis(config.cutoff, config.radial)
        last = config.layers - 1
        self.layers = nn.ModuleList(
            Layer(config, len(species), self.l_out if layer == last else 0) for layer in range(config.layers)
        )

    @property
    def cutoff(self) -> float:
        """Å."""
        return self.config.cutoff

    @property
    def widths(self) -> Widths:
        """Scalars of every layer; vectors and tensors of the last."""
        channels = self.config.channels
        return Widths(
            self.config.layers * channels, channels if self.l_out > 0 else 0, channels if self.l_out > 1 else 0
        )

    def calibrate(self, system: System) -> None:
        """Give the features of every stage unit size on this batch; once, before training."""
        measure_sizes(self, system)

    def forward(self, system: System) -> Features:
        """Features of every atom."""
        pairs = pairs_within(system, self.cutoff)
        element = self.element_of[system.numbers]
        surroundings = self._surroundings(bonds_of(pairs, len(element)), system.numbers)
        out, collected = self._embed(system, element)[:, None], []
        for layer in self.layers:
            out = layer(out[:, 0], element, surroundings)
            collected.append(out[:, 0])
        return self._features(torch.cat(collected, dim=1), element, out, pairs)

    def _surroundings(self, bonds: BondTable, numbers: Tensor) -> Surroundings:
        unit, distance = bonds.vector / bonds.distance[:, None], bonds.distance
        if self.config.repulsion == "zbl":
            distance = softened(distance, self.radius[numbers[bonds.ends]].sum(1))
        return Surroundings(bonds, self.basis(distance), spherical_harmonics(unit, self.config.l_max))

    def _alone(self) -> Tensor:
        """Scalars ``(elements, widths.scalars)`` of an atom without neighbours, of a neutral singlet."""
        scalars: Tensor = self.embedding
        collected: list[Tensor] = []
        for layer in self.layers:
            scalars = cast(Layer, layer).alone(scalars)
            collected.append(scalars)
        return torch.cat(collected, dim=1)

    def _embed(self, system: System, element: Tensor) -> Tensor:
        scalars = self.embedding[element]
        asked = [(self.config.embed_charge, system.charge), (self.config.embed_spin, system.spin)]
        for table, value in zip(self.conditions, [value for wanted, value in asked if wanted]):
            scalars = scalars + value[system.system_index, None] * table[element]
        return scalars

    def _features(self, scalars: Tensor, element: Tensor, out: Tensor, pairs: Pairs) -> Features:
        atoms = len(scalars)
        vectors, tensors = scalars.new_zeros(atoms, 0, 3), scalars.new_zeros(atoms, 0, 3, 3)
        if self.l_out > 0:  # (y, z, x) → (x, y, z) by the harmonics' own Cartesian form
            vectors = torch.einsum("nmc,am->nca", out[:, 1:4], cartesian_form(1, out)) / math.sqrt(3)
        if self.l_out > 1:
            form = cartesian_form(2, out).view(3, 3, 5) / math.sqrt(5)
            tensors = torch.einsum("nmc,abm->ncab", out[:, 4:9], form)
        return Features(scalars, vectors, tensors, self._alone(), element, pairs, self.cutoff)


def typical_surroundings(species: tuple[int, ...]) -> System:
    """A rattled simple cubic crystal of all the elements at 2.6 Å: sizes to start from before any data is seen."""
    rng = np.random.default_rng(0)
    places = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = 2.6 * places + rng.normal(scale=0.15, size=(64, 3))
    return System.from_ase(ase.Atoms(rng.permutation(np.resize(species, 64)), positions, cell=[10.4] * 3, pbc=True))


class Layer(nn.Module):
    """Gather neighbours into densities, multiply, mix; scalars go on to the next layer."""

    linear_maps = ("keep",)

    def __init__(self, config: BackboneConfig, elements: int, l_out: int) -> None:
        super().__init__()
        channels, l_max = config.channels, config.l_max
        self.channels, self.orders = channels, l_max + 1
        self.send = UnitLinear(channels, channels)
        self.radial = RadialNetwork(config.radial, config.radial_hidden, (l_max + 1) * channels)
        self.mix = ChannelMix(l_max, channels)
        self.products = DensityProducts(elements, channels, l_max, l_out, config.correlation)
        self.keep = nn.Parameter(torch.randn(elements, channels, channels))
        self.density_size = UnitSize(orders(l_max))
        self.out_size = UnitSize(orders(l_out))

    def forward(self, scalars: Tensor, element: Tensor, surroundings: Surroundings) -> Tensor:
        """``(atoms, channels)`` → ``(atoms, m_out, channels)``."""
        # bounded messages: the products are cubic, and a second cubic on top would run away from the data
        calm = scalars * torch.rsqrt(0.5 + 0.5 * scalars.square().mean(1, keepdim=True))
        radial = self.radial(surroundings.waves).view(-1, self.orders, self.channels)
        density = gather(radial, surroundings.harmonics, self.send(calm), surroundings.bonds)
        is_element = nn.functional.one_hot(element, len(self.keep)).to(scalars)
        out = self.products(self.density_size(self.mix(density)), element, is_element)
        kept = self._kept(scalars, is_element)[:, None]
        return torch.as_tensor(self.out_size(torch.cat([out[:, :1] + kept, out[:, 1:]], dim=1)))

    def alone(self, scalars: Tensor) -> Tensor:
        """What becomes of the scalars ``(elements, channels)`` of atoms without neighbours: only what is kept."""
        return self._kept(scalars, torch.eye(len(scalars)).to(scalars)) * self.out_size.scale[0]

    def _kept(self, scalars: Tensor, is_element: Tensor) -> Tensor:
        by_element = (is_element[:, :, None] * scalars[:, None]).flatten(1)  # one matrix product for all elements
        return by_element @ self.keep.flatten(0, 1) / math.sqrt(self.channels)
