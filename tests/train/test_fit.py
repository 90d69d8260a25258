import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from farfield.config import validated
from farfield.errors import ConvergenceError, InputError
from farfield.model import load
from farfield.train import fit as fitting
from farfield.train.config import RunConfig
from farfield.train.run import prepare, train
from farfield.train.schedule import still_falling


def silent(*_):
    pass


def run(plain, folder):
    return train(prepare(validated(RunConfig, plain, "")), folder, on_progress=silent)


def weights(folder):
    return load(folder / "model.pt").state_dict()


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_seed_gives_the_same_weights_another_one_others(tiny, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tiny | {"train": tiny["train"] | {"seed": seed}}, tmp_path / name)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


class Stop(Exception):
    pass


def stop_at(step, monkeypatch):
    """Have the training that comes next stop at its so many-th step."""
    honest, calls = fitting._Run._step, []

    def failing(self, *args):
        calls.append(1)
        if len(calls) == step:
            raise Stop
        return honest(self, *args)

    monkeypatch.setattr(fitting._Run, "_step", failing)


@pytest.mark.parametrize("step", [1, 4, 7, 11])
def test_stopped_at_any_step_and_resumed_it_ends_the_same(tiny, tmp_path, monkeypatch, step):
    run(tiny, tmp_path / "whole")
    stop_at(step, monkeypatch)
    with pytest.raises(Stop):
        run(tiny, tmp_path / "parts")
    monkeypatch.undo()
    result = run(tiny, tmp_path / "parts")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert [row["epoch"] for row in result.history] == [1, 2, 3]


def test_a_finished_run_is_not_trained_again(tiny, tmp_path, monkeypatch):
    first = run(tiny, tmp_path / "run")
    monkeypatch.setattr(fitting._Run, "_step", None)  # a step would be a TypeError
    assert run(tiny, tmp_path / "run").history == first.history


@pytest.mark.slow
def test_killed_hard_again_and_again_it_still_ends_the_same(tiny, tmp_path):
    """SIGKILL at random moments, checkpoints being written all the time."""
    tiny["train"]["epochs"] = 30
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(tiny))
    run(tiny, tmp_path / "whole")
    command = [sys.executable, "-m", "farfield", "train", str(config), "--out", str(tmp_path / "parts")]
    rng, kills = np.random.default_rng(0), 0
    while True:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=3.5 + rng.uniform(0, 3) + 0.5 * kills)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            continue
        break
    assert process.returncode == 0
    assert kills > 0
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert not list((tmp_path / "parts").glob("*.tmp"))


def longer(tiny, epochs):
    return tiny | {"train": tiny["train"] | {"epochs": epochs}}


def test_a_finished_run_is_given_more_epochs(tiny, tmp_path):
    run(tiny, tmp_path / "run")
    result = run(longer(tiny, 7), tmp_path / "run")
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4, 5, 6, 7]
    rates = [row["learning_rate"] for row in result.history]
    assert rates[3] > 10 * rates[2]  # risen once more
    assert rates[6] == pytest.approx(0, abs=1e-12)  # and fallen


@pytest.mark.parametrize("step", [1, 9])
def test_more_epochs_stopped_and_resumed_end_the_same(tiny, tmp_path, monkeypatch, step):
    for name in ("whole", "parts"):
        run(tiny, tmp_path / name)
    run(longer(tiny, 6), tmp_path / "whole")
    stop_at(step, monkeypatch)
    with pytest.raises(Stop):
        run(longer(tiny, 6), tmp_path / "parts")
    monkeypatch.undo()
    run(longer(tiny, 6), tmp_path / "parts")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_a_run_under_way_keeps_its_epochs(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting._Run, "checkpoint", lambda *_, **__: None)
    monkeypatch.setattr(fitting._Run, "_record", lambda *_: (_ for _ in ()).throw(Stop))
    with pytest.raises(Stop):
        run(tiny, tmp_path / "run")
    with pytest.raises(InputError, match="more epochs once it has ended"):
        run(longer(tiny, 5), tmp_path / "run")
    with pytest.raises(InputError, match=r"train\.epochs: was 3, is 2"):
        run(longer(tiny, 2), tmp_path / "run")


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ([1 / (k + 1) for k in range(20)], True),
        ([1 / (k + 1) for k in range(9)], False),  # too short to tell
        ([max(0.1, 1 - 0.1 * k) for k in range(20)], False),
        ([0.2 + 0.01 * abs(k - 5) for k in range(20)], False),  # overfitted since the sixth
        ([1 / (k + 1) for k in range(19)] + [float("nan")], False),
    ],
)
def test_who_ended_too_early_is_told(losses, said):
    told = still_falling([{"valid_loss": loss} for loss in losses])
    assert (told is not None) == said
    assert told is None or f"--train.epochs {2 * len(losses)}" in told


def test_another_configuration_in_the_same_folder_is_refused(tiny, tmp_path):
    run(tiny, tmp_path / "run")
    before = weights(tmp_path / "run")
    changed = tiny | {"train": tiny["train"] | {"learning_rate": 1e-4}}
    with pytest.raises(InputError, match=r"train\.learning_rate: was 0\.02, is 0\.0001"):
        run(changed, tmp_path / "run")
    assert same(before, weights(tmp_path / "run"))


def test_other_data_in_the_same_folder_are_refused(tiny, tmp_path):
    """A checkpoint of one data set must not go on with another."""
    import ase.io

    run(tiny, tmp_path / "run")
    frames = ase.io.read(tiny["data"]["train"], ":")
    frames[0].calc.results["energy"] += 1.0
    ase.io.write(tiny["data"]["train"], frames, format="extxyz")
    with pytest.raises(InputError, match=r"the data of the run in .* have changed"):
        run(tiny, tmp_path / "run")


def test_a_damaged_run_folder_is_said(tiny, tmp_path):
    run(tiny, tmp_path / "run")
    (tmp_path / "run" / "config.yaml").write_text("data: [")
    with pytest.raises(InputError, match="damaged"):
        run(tiny, tmp_path / "run")


def test_a_validation_that_is_not_a_number_is_never_the_best(tiny, tmp_path, monkeypatch):
    honest, calls = fitting._Run._validate, []

    def broken(self):
        calls.append(1)
        row = honest(self)
        return row | {"valid_loss": float("nan")} if len(calls) == 2 else row

    monkeypatch.setattr(fitting._Run, "_validate", broken)
    run(tiny, tmp_path / "run")
    assert load(tmp_path / "run" / "model.pt").training_summary["epoch"] != 2


@pytest.mark.parametrize("split", ["valid", "test"])
def test_what_a_model_cannot_do_is_said_before_training(tiny, tmp_path, split):
    """A total charge, in any split, that fixed charges cannot have."""
    import ase.io

    frames = ase.io.read(tiny["data"]["train"], ":")
    for frame in frames:
        frame.numbers[2:] = 36
    ase.io.write(tiny["data"]["train"], frames, format="extxyz")
    tiny["model"]["paradigm"] = {"kind": "latent", "conservation": "fixed"}
    odd = frames[0].copy()
    odd.calc = frames[0].calc
    odd.info["charge"] = 1
    path = tmp_path / "odd.xyz"
    ase.io.write(path, [odd], format="extxyz")
    data = {**tiny["data"], split: str(path), "total_charge": "charge"}
    with pytest.raises(InputError, match="conservation: shift"):
        run(tiny | {"data": data}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("paradigm", "said"),
    [
        ({"kind": "short_range"}, "field.xyz frame 0: short_range takes no external_field"),
        ({"kind": "latent"}, "field.xyz frame 0: .*stress: null"),
        ({"kind": "latent", "conservation": "fixed"}, None),
    ],
)
def test_data_in_a_field_that_a_model_cannot_take_is_said_before_training(tiny, tmp_path, paradigm, said):
    import ase

    frames = [ase.Atoms("Ar2", [[0, 0, 0], [0, 0, d]], cell=[8, 8, 8], pbc=True) for d in (3.7, 3.8, 3.9)]
    for atoms in frames:
        atoms.info |= {"energy": 1.0, "stress": np.zeros(9), "external_field": np.array([0, 0, 0.1])}
    ase.io.write(tmp_path / "field.xyz", frames, format="extxyz")
    tiny["data"] = {"train": str(tmp_path / "field.xyz"), "forces": None, "stress": "stress"}
    tiny["model"]["paradigm"] = paradigm
    if said is None:
        prepare(validated(RunConfig, tiny, ""))
        return
    with pytest.raises(InputError, match=said):
        prepare(validated(RunConfig, tiny, ""))


def test_labels_that_a_paradigm_does_not_read_are_no_training(tiny):
    import ase.io

    tiny["data"] |= {"energy": None, "charges": "initial_charges", "forces": None}
    frames = ase.io.read(tiny["data"]["train"], ":")
    for atoms in frames:
        atoms.set_initial_charges([0.1, -0.1, 0.2, -0.2])
    ase.io.write(tiny["data"]["train"], frames, format="extxyz")
    with pytest.raises(InputError, match="short_range learns nothing from charges"):
        prepare(validated(RunConfig, tiny, ""))


def test_training_learns(tiny, tmp_path):
    tiny["train"] |= {"epochs": 60, "learning_rate": 0.01}
    history = run(tiny, tmp_path / "run").history
    assert history[-1]["train_loss"] < 0.1 * history[0]["train_loss"]


def test_a_diverging_loss_stops_and_keeps_the_best(tiny, tmp_path, monkeypatch):
    honest, calls = fitting.TrainingStep.forward, []

    def diverging(self, system, labels):
        loss, totals = honest(self, system, labels)
        calls.append(1)
        return (loss * float("nan") if len(calls) > 9 and self.training else loss), totals

    monkeypatch.setattr(fitting.TrainingStep, "forward", diverging)
    with pytest.raises(ConvergenceError, match=r"lower\s+train.learning_rate"):
        run(tiny, tmp_path / "run")
    assert all(torch.isfinite(w).all() for w in weights(tmp_path / "run").values())


def test_patience(tiny, tmp_path):
    tiny["train"] |= {"epochs": 500, "patience": 2, "learning_rate": 1e-12, "ema": 0.0}
    assert len(run(tiny, tmp_path / "run").history) < 20


@pytest.mark.parametrize("schedule", ["cosine", "inverse_sqrt", "plateau", "constant"])
def test_schedules(tiny, tmp_path, schedule):
    tiny["train"] |= {"schedule": schedule, "epochs": 4, "warmup": 0.0}
    rates = [row["learning_rate"] for row in run(tiny, tmp_path / "run").history]
    if schedule == "cosine":
        assert rates == pytest.approx([0.01 * (1 + np.cos(np.pi * k / 4)) for k in (1, 2, 3, 4)])
    elif schedule == "inverse_sqrt":
        steps = np.arange(200)  # of which each epoch ends with one
        possible = 0.02 * np.minimum(1, (steps + 1) / 20) / np.sqrt(1 + steps / 300)
        assert all(np.isclose(possible, rate, rtol=1e-12).any() for rate in rates)
        assert len(set(rates)) == 4
    else:
        assert rates == [0.02] * 4


def test_the_average_remembers_as_long_as_it_is_told_and_no_longer_than_it_has_lived():
    """Updates with 0 then 1, 1, …: after n the average is 1 - Π decay_k."""
    average, update = torch.zeros(1), fitting._running_average(0.9)
    expected = 1.0
    for count in range(200):
        update([average], [torch.ones(1)], count)
        expected *= min(0.9, (1 + count) / (10 + count))
    assert 1 - average.item() == pytest.approx(expected, abs=1e-6)
    young = torch.zeros(1)
    update([young], [torch.ones(1)], 0)
    assert young.item() == pytest.approx(0.9)  # a start is forgotten at once


def test_an_unwritable_folder_is_said_before_training(tiny, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(InputError, match="cannot create the run folder"):
        run(tiny, blocked / "run")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    from farfield import atomic_write

    path = tmp_path / "model.pt"
    path.write_bytes(b"precious")

    class Full(type(path)):
        def open(self, *args, **kwargs):
            return open("/dev/full", "wb", buffering=0)

    monkeypatch.setattr(type(path), "with_name", lambda self, name: Full(self.parent / name))
    with pytest.raises(InputError, match=r"No space left.*untouched"):
        atomic_write.write_atomically(path, b"new" * 10000)
    monkeypatch.undo()
    assert path.read_bytes() == b"precious"


@pytest.mark.slow
def test_two_processes_train_together(tiny, tmp_path):
    """Forces only: the last biases have no gradient, which plain DDP would wait for."""
    tiny["train"] |= {"devices": 2, "device": "cpu", "weights": {"energy": 0.0}, "epochs": 5}
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(tiny))
    command = [sys.executable, "-m", "farfield", "train", str(config), "--out", str(tmp_path / "run")]
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr
    assert done.stdout.count("RMSE on") == 1  # one of them judges and speaks
    assert (tmp_path / "run" / "report.html").exists()
    assert time.monotonic() - start < 300


@pytest.mark.slow
def test_two_processes_take_the_step_of_one_with_twice_the_batch(tiny, tmp_path):
    """Equal numbers of labels in every batch: the mean of two gradients is the gradient of both."""
    import farfield.train.batches as batches

    assert batches.Batches([None] * 8, 2, seed=0, rank=0, ranks=2).__len__() == 2
    tiny["data"] |= {"valid_fraction": 0.3, "test_fraction": 0.0}  # 8 frames to learn from
    common = {"epochs": 1, "schedule": "constant", "warmup": 0.0, "ema": 0.0, "precision": "float64", "device": "cpu"}
    for name, devices, size in (("one", 1, 8), ("two", 2, 4)):
        tiny["train"] = {**tiny["train"], **common, "devices": devices, "batch_size": size}
        config = tmp_path / f"{name}.yaml"
        config.write_text(yaml.safe_dump(tiny))
        command = [sys.executable, "-m", "farfield", "train", str(config), "--out", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for key in one:
        # a step is 5e-3; where the gradient is rounding alone, Adam makes 1e-11 of it
        torch.testing.assert_close(one[key], two[key], rtol=1e-9, atol=1e-9)


def test_tensorboard(tiny, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tiny["train"]["tensorboard"] = True
    history = run(tiny, tmp_path / "run").history
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("valid_loss")] == [1, 2, 3]
    assert events.Scalars("valid_loss")[-1].value == pytest.approx(history[-1]["valid_loss"], rel=1e-5)
