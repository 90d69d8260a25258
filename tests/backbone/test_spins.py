import ase
import pytest

from farfield.backbone.config import BackboneConfig
from farfield.backbone.spins import spins_of, unlearned_spins, unseen_spins
from farfield.system import System

BLIND, SEEING = BackboneConfig(), BackboneConfig(embed_spin=True)


def test_spins_of_isolated_atoms_do_not_count():
    pairs = [ase.Atoms("O2", [[0, 0, 0], [0, 0, 1.2]], info={"spin": spin}) for spin in (2, 0, 2)]
    assert spins_of(System.from_ase(atoms) for atoms in [*pairs, ase.Atoms("H", info={"spin": 1})]) == [0, 2]


def test_training_on_several_spins_says_that_they_do_not_reach_the_model():
    (notice,) = unseen_spins(BLIND, [0, 2])
    assert "unpaired electrons: 0, 2" in notice.message
    assert "embed_spin: true" in notice.message
    assert not [*unseen_spins(BLIND, [2]), *unseen_spins(SEEING, [0, 2])]


@pytest.mark.parametrize(
    ("backbone", "trained", "given"), [(SEEING, [0], [2]), (BLIND, [0, 2], [2]), (BLIND, [], [2]), (BLIND, [0], [])]
)
def test_nothing_to_say_of_spins_that_are_seen_or_learned_or_of_which_nobody_knows(backbone, trained, given):
    assert unlearned_spins(backbone, trained, given) is None


def test_a_spin_that_is_neither_seen_nor_learned():
    said = unlearned_spins(BLIND, [0], [0, 2])
    assert said is not None
    assert "unpaired electrons: 2" in said
    assert "trained on 0" in said
