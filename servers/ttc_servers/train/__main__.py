"""Train and measure the demo models: `python -m ttc_servers.train COMMAND`."""

import argparse
import json
import sys
from pathlib import Path

import torch

from ttc_servers.demomath import SPLITS, fixed_test_set
from ttc_servers.train.data import numbered_problem
from ttc_servers.train.evaluate import greedy_accuracy, search_figures
from ttc_servers.train.improve import TRUTHS, Round, improve
from ttc_servers.train.llama import load_model
from ttc_servers.train.loop import Schedule
from ttc_servers.train.policy import train_policy
from ttc_servers.train.prm import train_prm
from ttc_servers.train.sampler import sample
from ttc_servers.train.tokenizer import load_tokenizer

MODELS = Path(__file__).parents[1] / "models"
"""The pair that comes with the package."""


def main(arguments: list[str] | None = None) -> None:
    """Run one command; progress goes to stderr, results to stdout."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ttc_servers.train", description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    policy = commands.add_parser("policy", help="train a policy", description=train_policy.__doc__)
    _add_schedule(policy)
    policy.add_argument("--start", type=Path, help="a model folder to go on from")
    policy.add_argument("--slips", type=float, default=1.0, help="scale of the corpus's slips")
    policy.add_argument(
        "--conversations", type=float, default=0.0, help="share of batches in the PRM's format"
    )
    policy.set_defaults(run=_policy)
    prm = commands.add_parser("prm", help="train a PRM", description=train_prm.__doc__)
    _add_schedule(prm)
    prm.add_argument("--start", type=Path, required=True, help="a policy without slips")
    prm.add_argument("--samples", type=Path, help="policy samples to mix in")
    prm.add_argument("--held-out", type=Path, help="policy samples to measure the AUC on")
    prm.add_argument("--labels", type=Path, help="steps.jsonl of ttc export, to train on alone")
    prm.set_defaults(run=_prm)
    sampling = commands.add_parser("sample", help="write policy samples as JSON lines")
    sampling.add_argument("--count", type=int, default=2000, help="how many problems")
    sampling.set_defaults(run=_sample)
    measuring = commands.add_parser("eval", help="measure greedy, pass, maj, prm, weighted, AUC")
    measuring.add_argument("--prm", type=Path, help="without it, greedy accuracy alone")
    measuring.add_argument("--count", type=int, help="how many; without it, the fixed test set")
    measuring.set_defaults(run=_eval)
    improving = commands.add_parser(
        "improve", help="train a policy on what it finds", description=improve.__doc__
    )
    _add_schedule(improving)
    improving.set_defaults(run=_improve, steps=300, lr=0.004)
    improving.add_argument("--policy", type=Path, default=MODELS / "policy")
    improving.add_argument("--prm", type=Path, default=MODELS / "prm")
    improving.add_argument(
        "--truth", nargs="+", choices=TRUTHS, default=TRUTHS, help="what says what is right"
    )
    improving.add_argument("--rounds", type=int, default=2)
    improving.add_argument("--problems", type=int, default=1000, help="fresh ones a round")
    improving.add_argument("-n", type=int, default=16, help="samples of each")
    improving.add_argument("--keep", type=int, default=4, help="solutions of each to train on")
    improving.add_argument(
        "--measure-n", type=int, default=64, help="samples of each test problem; 0: greedy alone"
    )
    improving.add_argument(
        "--measure-problems", type=int, default=500, help="of how many, evenly spaced"
    )
    for command, split in ((sampling, "train"), (measuring, "validation")):
        command.add_argument("--policy", type=Path, required=True)
        command.add_argument("--split", choices=SPLITS, default=split)
        command.add_argument("-n", type=int, default=4, help="samples per problem")
        command.add_argument("--temperature", type=float, default=0.8)
        command.add_argument("--seed", type=int, default=0)
    return parser


def _add_schedule(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="where the model and its checkpoint go")
    parser.add_argument("--steps", type=int, default=1300)
    parser.add_argument("--batch-size", type=int, default=32, help="solutions per step")
    parser.add_argument("--lr", type=float, default=0.02, help="Muon's peak; a fifth for Adam")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint")
    parser.add_argument(
        "--compile", action="store_true", help="compile, use bfloat16: fast on a GPU or with AMX"
    )


def _schedule(options: argparse.Namespace) -> Schedule:
    return Schedule(
        options.steps, muon_lr=options.lr, adam_lr=options.lr / 5, seed=options.seed,
        compiled=options.compile,
    )  # fmt: skip


def _policy(options: argparse.Namespace) -> None:
    train_policy(
        options.folder, _schedule(options), options.batch_size, options.slips,
        options.conversations, start=options.start, resume=options.resume,
    )  # fmt: skip


def _prm(options: argparse.Namespace) -> None:
    train_prm(
        options.folder, options.start, _schedule(options), options.batch_size,
        samples=options.samples, held_out=options.held_out, resume=options.resume,
        labels=options.labels,
    )  # fmt: skip


def _improve(options: argparse.Namespace) -> None:
    each = Round(
        options.problems, options.n, options.keep, measure_n=options.measure_n,
        measure_problems=options.measure_problems,
    )  # fmt: skip
    improve(
        options.folder, options.policy, options.prm, options.truth, options.rounds, each,
        _schedule(options), options.batch_size,
    )  # fmt: skip


def _sample(options: argparse.Namespace) -> None:
    names = [(options.split, options.seed, index) for index in range(options.count)]
    problems = [numbered_problem(*name) for name in names]
    model, tokenizer = load_model(options.policy), load_tokenizer(options.policy)
    samples = sample(model, tokenizer, problems, options.n, options.temperature, options.seed)
    for done, (index, solution) in enumerate(samples, 1):
        split, seed, number = names[index]
        row = {"split": split, "seed": seed, "index": number, "solution": solution}
        sys.stdout.write(json.dumps(row) + "\n")
        if done % 500 == 0:
            print(f"{done}/{options.count * options.n} samples", file=sys.stderr, flush=True)


def _eval(options: argparse.Namespace) -> None:
    model, tokenizer = load_model(options.policy), load_tokenizer(options.policy)
    problems = fixed_test_set()
    if options.count is not None:
        problems = [numbered_problem(options.split, options.seed, i) for i in range(options.count)]
    figures = {"greedy": greedy_accuracy(model, tokenizer, problems)}
    if options.prm:
        prm = load_model(options.prm)
        figures[f"n={options.n}"] = search_figures(
            model, prm, tokenizer, problems, options.n, options.temperature, options.seed
        )
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
