"""Searches on shared weights in the main job: one run of each kind, looked at from all sides."""

import math
import re
import time
import tomllib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import archsmith
from archsmith import Arch, Space, call, choice
from archsmith.build import Bank
from archsmith.errors import BudgetError, LimitError, Paused, SpaceError, StoreError, UsageError
from archsmith.estimate import (
    GATE_METHODS,
    SAMPLERS,
    Derived,
    Divergence,
    Settings,
    Trained,
    differentiable,
    make_sampler,
)
from archsmith.estimate.gate_state import GATES
from archsmith.export import Verified
from archsmith.export.write import FILES
from archsmith.pipeline import Pause, banks, finalists, predict, screen, shared, ship, work
from archsmith.pipeline.banks import likeliest
from archsmith.pipeline.clock import Clock, plan
from archsmith.pipeline.decide import decided
from archsmith.pipeline.family import candidates
from archsmith.pipeline.journal import Journal
from archsmith.pipeline.methods import find_method, method_names, require_method, usual_space
from archsmith.pipeline.screen import Probe, Screen, Tempo
from archsmith.report import load_record, show_lines
from archsmith.request import Request, resolve_family
from archsmith.spaces import resolve
from archsmith.spec import Spec
from archsmith.strategy import make
from archsmith.testing.invariants import check_folder
from archsmith.trial import Evaluate, Trial, maximize

OPTIONS = {"budget": "10m", "executor": "inline", "formats": (), "seed": 1, "finalists": 1}


def data(seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(240) % 3
    x = rng.integers(0, 120, (240, 1, 6, 6)) + 60 * (y[:, None, None, None] == np.arange(6)[:, None] // 2)
    return x.astype(np.uint8), y


def space(*widths):
    """A width, which any bank can share, and a choice of modules, which gates can weigh."""
    width = choice(*widths, name="width")
    body = choice(deep=call(nn.Linear, width, width), skip=call(nn.Identity), name="body")
    layers = [call(nn.Flatten), call(nn.Linear, 36, width), call(nn.ReLU), body, call(nn.Linear, width, 3)]
    return Space(model=call(nn.Sequential, *layers), lr=choice(0.05, 0.1, name="lr"))


@pytest.fixture(scope="module", autouse=True)
def hurry():
    """Train for a moment only, compare with one rival, load one file in a fresh process: no more is looked at here."""
    torch.set_num_threads(1)
    every, check = work.contenders, ship.check

    def seen(folder, formats, **times):
        if folder.parent.name == "params-200":
            return check(folder, formats, **times)
        return [Verified(name, f"best/{FILES[name]}", (folder / FILES[name]).is_file(), 1) for name in formats]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ship, "check", seen)
        patch.setattr(work, "contenders", lambda *given: every(*given)[:2])
        for module in (work, finalists, banks):
            patch.setattr(module, "wanted_epochs", lambda samples: 6.0)
        yield


class Killed(BaseException):
    """Ends a run as if its process were gone."""


def killed(*given, **options):
    raise Killed


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """A search for two limits at once, stopped while the bank was trained, killed when it was, and gone on with."""
    out, pause, said = tmp_path_factory.mktemp("runs"), Pause(), []

    def listen(event):
        said.append(event)
        if event.get("text", "").endswith("shared weights"):
            pause.ask()

    limits = {"params": [400, 200]}
    with pytest.raises(Paused):
        archsmith.search(
            data(), space=space(4, 8), out=out, limits=limits, trials=8, progress=listen, pause=pause, **OPTIONS
        )
    (folder,) = out.iterdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bank, "save", killed)
        with pytest.raises(Killed):
            archsmith.resume(folder, data=data(), space=space(4, 8), progress=said.append)
        patch.undo()
        patch.setattr(banks, "train_bank", killed)
        (folder / "for" / "params-999").mkdir(parents=True)
        result = archsmith.resume(folder, data=data(), space=space(4, 8), progress=said.append)
    return result, said


@pytest.fixture(scope="module")
def gates(tmp_path_factory, paths):
    """A search by gates that begins with the bank of another, and was stopped in its first step."""
    out, pause = tmp_path_factory.mktemp("runs"), Pause()
    of = {"space": space(4, 8, 16), "data": data()}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Paused):
        patch.setattr(differentiable, "cosine", lambda *given: pause.ask() or 1.0)
        archsmith.search(out=out, method="darts", trials=4, weights=paths[0].folder, pause=pause, **of, **OPTIONS)
    (folder,) = out.iterdir()
    assert (folder / "phases" / "1" / "bank" / GATES).exists(), "nothing was saved when it was stopped"
    return archsmith.resume(folder, **of)


def test_several_limits_are_served_by_one_bank_with_a_network_for_each(paths):
    result, said = paths
    assert tomllib.loads((result.folder / "run.toml").read_text())["method"] == "bignas"
    assert list(result.by_limit) == [200.0, 400.0]
    for bound, best in result.by_limit.items():
        assert best.metrics["params"] <= bound and "accuracy" in best.test
        folder = result.folder / "for" / f"params-{bound:g}"
        assert len(predict(folder, data()[0][:2])) == 2 and (folder / "best" / "model.py").is_file()
    assert result.best.metrics["params"] <= 200
    assert result.best.metrics["params"] == result.by_limit[200.0].metrics["params"]
    assert [[e["ok"] for e in row["exports"]] for row in result.data["by_limit"]] == [[True], [True]]
    assert {p.name for p in (result.folder / "for").iterdir()} == {"params-200", "params-400"}
    assert result.data["task"]["test_openings"] == 1
    assert [e["name"] for e in said if e["type"] == "phase"].count("train the bank") == 3
    check_folder(result.folder)


def test_trials_are_marked_as_scores_on_shared_weights_and_the_winner_is_trained(paths):
    result, _ = paths
    trials = load_record(result.folder).trials
    assert len(trials) >= 8 and all(t.proposal.weights == "bank" for t in trials)
    assert result.data["best"]["origin"] == finalists.SCRATCH
    assert result.data["best"]["metrics"]["epochs"] == pytest.approx(6.0, abs=0.5)
    assert {t.arch["lr"] for t in trials} == {0.1}  # the training settings are not searched on shared weights


def test_random_search_is_asked_as_often_on_the_same_bank(paths):
    rows = paths[0].data["shared"]["side_by_side"]
    assert [r["name"] for r in rows] == ["nsga2", "random"]
    assert abs(rows[0]["trials"] - rows[1]["trials"]) <= 1
    assert all(r["score"] is not None for r in rows)


def test_the_report_says_what_the_scores_are_worth(paths, gates):
    for result in (paths[0], gates):
        page, lines = result.report.read_text(), "\n".join(show_lines(load_record(result.folder)))
        for text in (page, lines):
            assert "Rank correlation of shared and standalone scores" in text and "n = " in text
            assert "Signs of collapse" in text
        assert result.data["shared"]["pairs"]
    assert "A network for each limit" in paths[0].report.read_text()
    assert "\n".join(show_lines(load_record(paths[0].folder))).count("(verified: yes)") == 2
    assert "entropy of the gates" in gates.report.read_text()


def test_gates_decide_what_they_can_and_what_they_prefer_is_trained(gates):
    shared = gates.data["shared"]
    assert gates.data["best"]["arch"]["body"] == max(zip(shared["shares"]["body"], ("deep", "skip"), strict=True))[1]
    assert set(shared["held"]) == {"width"}
    assert "Not searched, since they do not choose between modules: width" in gates.report.read_text()
    assert {t.arch["width"] for t in load_record(gates.folder).trials} == {gates.data["best"]["arch"]["width"]}


def test_a_bank_begins_with_another_and_says_what_it_could_not_take(paths, gates):
    shared = gates.data["shared"]
    assert shared["started_from"] == str(paths[0].folder)
    assert any("only in part" in line for line in shared["not_carried"])
    old, new = (Bank.load(f / "bank", s) for f, s in ((paths[0].folder, space(4, 8)), (gates.folder, space(4, 8, 16))))
    assert old.shared.keys() <= new.shared.keys()


def test_every_sampler_and_every_differentiable_method_has_a_name_once():
    names = method_names()
    assert {"spos", "fairnas", "bignas", "ofa", "enas", *GATE_METHODS} <= set(names)
    assert len(names) == len({id(v) for v in SAMPLERS.values()}) + len(GATE_METHODS)
    assert all(find_method(name.upper()).paper for name in names)


def test_what_cannot_be_is_refused_before_the_search(tmp_path):
    fixed = Space(model=call(nn.Sequential, call(nn.Flatten), call(nn.Linear, 36, choice(3, 4, name="width"))))
    options = {"out": tmp_path / "runs", "budget": "30s"}
    for wrong, words, kind in (
        ({"method": "dart"}, "Did you mean 'darts'", UsageError),
        ({"method": "darts", "space": fixed}, "no decision that only chooses between modules.*width.*spos", SpaceError),
        ({"method": "spos", "strategy": "halving"}, "name another strategy, such as evolution", UsageError),
        ({"weights": tmp_path}, "neither a bank", StoreError),
        ({"limits": {"params": [1, 2], "macs": [1, 2]}}, "one value for the others", UsageError),
    ):
        with pytest.raises(kind, match=words):
            archsmith.search(data(), **{**options, **wrong})
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_a_define_by_run_space_and_options_of_other_shapes_are_refused_with_the_remedy():
    run = Space.from_function(lambda pick: nn.Linear(4, pick("width", 2, 3)))
    with pytest.raises(
        SpaceError, match=r"'gdas' cannot serve this space.*takes one branch at a time.*These can: spos"
    ):
        require_method(find_method("gdas"), run, (4,))
    require_method(find_method("spos"), run, (4,))
    uneven = Space(model=choice(a=call(nn.Linear, 4, 2), b=call(nn.Linear, 4, 3), name="uneven"))
    with pytest.raises(SpaceError, match=r"model.*cannot be mixed.*projection"):
        require_method(find_method("darts"), uneven, (4,))


def test_where_no_space_is_named_it_is_one_that_the_method_can_mix():
    images = Spec("image", "classification", (1, 8, 8), 10, 1000)
    table = Spec("table", "classification", (6,), 2, 1000, cardinalities=(3,))
    partial = find_method("pcdarts")
    with pytest.raises(SpaceError, match=r"cannot be mixed on one in 4 channels.*'cell'"):
        require_method(partial, resolve("mobile", images), images.input_shape)
    for method, spec, name in (("pcdarts", images, "cell"), ("pcdarts", table, "mlp"), ("darts", images, "mobile")):
        found = usual_space(find_method(method), spec)
        assert found == name
        require_method(find_method(method), resolve(found, spec), spec.input_shape)
    assert usual_space(find_method("spos"), images) == usual_space(None, images) == "mobile"


@pytest.mark.parametrize(
    ("epoch", "steps", "name", "words"),
    [
        (1.0, 1000, "", "^$"),
        (30.0, 1000, "spos", "since of 12"),
        (99.0, 1000, "", "too few"),
        (30.0, 10, "", "too few"),
    ],
)
def test_weights_are_shared_unasked_only_where_trainings_would_be_too_short(epoch, steps, name, words, tmp_path):
    said = []
    run = SimpleNamespace(
        request=Request("digits", 600.0), shares=plan(600.0), pace=lambda arch: epoch, space=space(4, 8),
        probed=Probe(4, 4, (Arch({}),)), task=SimpleNamespace(spec=SimpleNamespace(input_shape=(1, 6, 6))),
        journal=Journal(tmp_path, {"round": 1}), note=said.append, tempo=Tempo((1.0, 0.0, 0.0), steps),
    )  # fmt: skip
    method = decided(run)
    assert (method.name if method else "") == name
    assert re.search(words, "".join(said))
    run.pace = None
    assert decided(run) == method  # once in a run


def test_the_likeliest_architectures_come_first():
    both = space(4, 8)
    decisions = {k: both.decisions[k] for k in ("width", "body")}
    found = list(likeliest(decisions, {"width": (0.4, 0.6), "body": (0.1, 0.9)}))
    assert found == [
        {"width": 8, "body": "skip"}, {"width": 4, "body": "skip"},
        {"width": 8, "body": "deep"}, {"width": 4, "body": "deep"},
    ]  # fmt: skip


def test_limits_of_several_values_are_sorted_and_the_strictest_is_kept():
    assert resolve_family({"latency": ["10ms", "2ms", "5ms"], "params": "1k"}) == (
        {"latency_ms": 2.0, "params": 1000.0},
        {"latency_ms": (2.0, 5.0, 10.0)},
    )


def waiting(folder, **request):
    """A run that is about to train its bank: its data, machine and clock are only told of."""
    asked = Request("digits", 600.0, **request)
    spec = SimpleNamespace(samples=240, input_shape=(1, 6, 6))
    task = SimpleNamespace(spec=spec, train=SimpleNamespace(x=torch.rand(8, 1, 6, 6), y=range(240)))
    task.preprocess = task.postprocess = nn.Identity()
    journal, said = Journal(folder / "phases", {"round": 1}), []
    run = work.Work(
        asked, task, space(4, 8), folder, Clock(600.0), plan(600.0).shared(), said.append,
        lambda event: said.append(event["text"]), journal,
    )  # fmt: skip
    run.said = said
    run.tempo, run.screen = Tempo((1.0, 0.0, 0.0), 1), Screen(run.space, run.task, {})
    run.probed = Probe(1, 1, (Arch({"width": 4, "body": "skip", "lr": 0.1}),))
    return run


def by_paths(seconds, loss):
    """What a training of a bank returns."""
    rows = () if loss is None else ({"epoch": 2.0, "seconds": seconds, "train_loss": loss},)
    return Trained(nn.Identity(), {}, rows, 2.0, seconds, Divergence(3, 0.3, 2.0) if loss is None else None)


def by_gates(seconds, loss):
    """What a search of gates returns."""
    rows = ({"epoch": 2.0, "train_loss": math.nan if loss is None else loss, "entropy": 1.0},)
    return None, Derived({}, {"body": (0.6, 0.4)}, rows, "the loss is not finite" if loss is None else "", seconds)


@pytest.mark.parametrize(
    ("method", "train", "inside", "end"),
    [("spos", banks.train_paths, "train_bank", by_paths), ("darts", banks.train_gates, "search_by", by_gates)],
)
def test_a_bank_that_diverged_does_not_do_so_again_after_a_kill_and_its_time_counts(
    method, train, inside, end, tmp_path, monkeypatch
):
    run, asked, begun = waiting(tmp_path), [], []
    ends = iter([end(20.0, None), None, end(50.0, 1.0)])

    def short(*given, **options):
        recipe = next(g for g in given if isinstance(g, Settings))
        asked.append((round(recipe.lr, 9), options["checkpoint"].name, options["seconds"]))
        return next(ends) or killed()

    def anew():
        begun.append(Bank(space(4, 8)))
        return begun[-1]

    monkeypatch.setattr(banks, inside, short)
    monkeypatch.setattr(banks, "validation_score", lambda *given: None)
    given = run, find_method(method), Bank(space(4, 8)), Settings(lr=0.3), {"width": 4, "lr": 0.1}, anew
    with pytest.raises(Killed):
        train(*given)
    made = train(*given)[1]
    left = run.shares.bank - 20.0
    assert [row[:2] for row in asked] == [(0.3, "bank"), (0.1, "bank-again"), (0.1, "bank-again")]
    assert [row[2] for row in asked] == pytest.approx([run.shares.bank, left, left], abs=5)
    assert (made["seconds"], made["loss"], len(begun)) == (70.0, 1.0, 1)


class Deaf(nn.Linear):
    """Answers the same to everything, as a cell does whose edges are cut."""

    def forward(self, x):
        return super().forward(0 * x)


def test_gates_prefer_nothing_without_a_step_and_nothing_that_cannot_learn(tmp_path, monkeypatch):
    run = waiting(tmp_path)
    body = choice(deaf=call(Deaf, 36, 3), hears=call(nn.Linear, 36, 3), name="body")
    run.space = Space(model=call(nn.Sequential, call(nn.Flatten), body))
    run.screen, run.probed = Screen(run.space, run.task, {}), Probe(1, 1, (Arch({"body": "hears"}),))
    stepped = by_gates(20.0, 1.0)
    for found, preferred in ((stepped, ["hears"]), ((None, replace(stepped[1], curve=())), [])):
        monkeypatch.setattr(banks, "search_by", lambda *given, found=found, **options: found)
        likely = banks.train_gates(run, find_method("darts"), Bank(run.space), Settings(), {}, Bank)[2]
        assert [arch["body"] for arch in likely] == preferred
    assert any("no time for a single step of darts" in text for text in run.said)
    run.study, run.first = SimpleNamespace(trials=[]), tuple(Arch({"body": name}) for name in ("deaf", "hears"))
    assert run._candidates()[0].arch["body"] == "hears"


def test_what_a_controller_has_learned_with_the_bank_is_tried_first(tmp_path):
    run, rng = waiting(tmp_path, trials=5, limits={"params": 400.0}), np.random.default_rng(0)
    run.limits = run.request.limits
    run.screen = Screen(run.space, run.task, run.request.limits)
    controller = make_sampler(
        "enas", run.space, lambda arch, rng: float(arch["width"] == 4), make("reinforce", run.space, again=True)
    )
    for _ in range(150):
        controller(run.space, rng, 0.0)
    proposed = [Arch.from_json(a) for a in banks._proposed(run, controller)["proposed"]]
    assert proposed and all(run.fits(arch) for arch in proposed) and len(set(proposed)) == len(proposed)
    assert proposed[0]["width"] == 4
    run.journal.put("bank", {"proposed": [a.to_json() for a in proposed]})
    assert shared._first(run, find_method("enas"))[-len(proposed) :] == tuple(proposed)
    assert banks._proposed(run, SAMPLERS["spos"].make(run.space, None, None)) == {}


def test_gates_prefer_first_what_keeps_a_limit_exactly(tmp_path, monkeypatch):
    run = waiting(tmp_path, limits={"params": 600.0})
    run.limits = run.request.limits
    body = choice(wide=call(nn.Linear, 36, 30), small=call(nn.Linear, 36, 3), tiny=call(nn.Linear, 36, 1), name="body")
    run.space = Space(model=call(nn.Sequential, call(nn.Flatten), body))
    run.screen, run.probed = Screen(run.space, run.task, run.request.limits), Probe(1, 1, (Arch({"body": "tiny"}),))
    asked = {}

    def found(*given, **options):
        asked.update(options)
        return None, replace(by_gates(20.0, 1.0)[1], shares={"body": (0.7, 0.2, 0.1)})

    monkeypatch.setattr(banks, "search_by", found)
    likely = banks.train_gates(run, find_method("darts"), Bank(run.space), Settings(), {}, Bank)[2]
    assert [arch["body"] for arch in likely] == ["small", "tiny"]
    assert asked["limit"] == 600.0
    run.request = replace(run.request, limits={})
    assert banks._price(run, find_method("darts"), {}) == {} != banks._price(run, find_method("fbnet"), {})


@pytest.mark.parametrize("trials", [None, 5])
def test_a_bank_is_trained_by_epochs_where_trials_are_counted_and_within_its_time_always(trials, tmp_path, monkeypatch):
    asked, run = [], waiting(tmp_path, trials=trials)

    def noted(*given, **options):
        asked.append(options)
        killed()

    monkeypatch.setattr(banks, "validation_score", lambda *given: None)
    for name, train in (("train_bank", banks.train_paths), ("search_by", banks.train_gates)):
        monkeypatch.setattr(banks, name, noted)
        method = find_method("spos" if name == "train_bank" else "darts")
        with pytest.raises(Killed):
            train(run, method, Bank(space(4, 8)), Settings(), {"width": 4, "lr": 0.1}, Bank)
    until = time.monotonic() + run.shares.bank
    for options in asked:
        assert (options["epochs"] is None, options["deadline"] is None) == 2 * (trials is None,)
        assert (options["seconds"] is None) == (trials is not None)
        assert options["interrupted"] is run.pause and options["checkpoint"] == run.journal.place("bank")
        assert trials is None or options["deadline"] == pytest.approx(until, abs=5)


def test_a_budget_too_small_for_one_step_of_all_options_is_refused_with_what_would_do(tmp_path, monkeypatch):
    monkeypatch.setattr(banks, "search_by", killed)
    run = waiting(tmp_path)
    given = run, find_method("darts"), Bank(space(4, 8)), Settings(batch_size=120), {"width": 4, "lr": 0.1}, Bank
    run.tempo = Tempo((run.shares.bank, 0.0, 0.0), 1)  # a step takes two options as long, and is taken twice
    with pytest.raises(BudgetError, match=r"too small for darts.*--budget \d+s.*spos"):
        banks.train_gates(*given)
    run.journal.put("measure", {"slow": 5.0})  # a busy machine refuses nothing
    with pytest.raises(Killed):
        banks.train_gates(*given)
    run.journal.forget("measure")
    run.tempo = Tempo((0.4 * run.shares.bank, 0.0, 0.0), 1)
    with pytest.raises(Killed):
        banks.train_gates(*given)


def test_what_is_trained_untried_keeps_the_strictest_of_several_limits(tmp_path):
    run = waiting(tmp_path, limits={"params": 200.0}, family={"params": (200.0, 400.0)})
    run.limits, run.study = {"params": 400.0}, SimpleNamespace(trials=[])
    run.screen = Screen(run.space, run.task, run.limits)
    small, large = (Arch({"width": width, "body": "skip", "lr": 0.1}) for width in (4, 8))
    run.first, run.probed = (large,), Probe(4, 0, (small,))
    assert [t.arch for t in run._candidates()] == [small]
    run.probed = Probe(4, 0)
    with pytest.raises(LimitError, match="strictest limit"):
        run._candidates()


@pytest.mark.parametrize("family", [{}, {"latency_ms": (1.0, 3.0)}])
def test_where_everything_tried_is_too_slow_now_a_faster_network_is_found_once(family, tmp_path, monkeypatch):
    run = waiting(tmp_path, limits={"latency_ms": 1.0}, family=family, objectives=(maximize("accuracy"),))
    run.task = archsmith.load_task(data())
    run.limits = {"latency_ms": 3.0 if family else 1.0}
    run.screen = Screen(run.space, run.task, run.limits, timed=True)
    large = Arch({"width": 8, "body": "deep", "lr": 0.05})
    tried = Trial(0, Evaluate(large), "complete", metrics={"latency_ms": 0.9}, losses=(0.1,))
    run.study, fast = SimpleNamespace(trials=[tried]), 0.9

    def measured(network, shape):
        width = next(m.out_features for m in network.modules() if isinstance(m, nn.Linear))
        return SimpleNamespace(median_ms=fast if width == 4 else 2.0)

    def chosen():
        run.preferred = candidates(run) if family else ()
        return run._chosen()

    for module in (work, screen):
        monkeypatch.setattr(module, "latency", measured)
    monkeypatch.setattr(screen, "PROBE_SECONDS", 0.01)
    first = chosen()[0]
    assert (first.arch["width"], first.arch["lr"], first.state) == (4, 0.05, "stopped")
    fast = 2.0
    assert chosen()[0].arch == first.arch  # when the run is taken up again it is not measured again
    run.journal.forget("chosen")
    run.journal.forget("faster")
    with pytest.raises(LimitError, match="The closest found has latency_ms"):
        chosen()


def test_an_epoch_may_take_a_tenth_of_what_final_trainings_get_also_where_sharing_is_decided_late(tmp_path):
    run = waiting(tmp_path)
    run.shares, run.tempo = plan(600.0), Tempo((1e-9, 0.0, 0.0), 1)
    longest, shared = run._longest_epochs(np.random.default_rng(0), busy=False)
    assert (longest, shared) == pytest.approx((plan(600.0).final / 10, plan(600.0).shared().final / 10))
    run.journal.put("measure", {"shared_epoch_seconds": shared})
    run.limits = {"epoch_seconds": longest, "params": 400.0}
    run.screen = Screen(run.space, run.task, run.limits)
    run.share_weights()
    assert run.shares == plan(600.0).shared()
    assert run.limits == run.screen.limits == {"epoch_seconds": shared, "params": 400.0}
