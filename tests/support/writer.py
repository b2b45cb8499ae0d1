"""A process that writes to an experiment until it is killed: `python writer.py SCENARIO NAME NUM_REALIZATIONS`."""

import sys

from moments_dnns.plots.pruning import prune_experiment
from moments_dnns.results.experiments import delete_experiment
from tests.support.synthetic import describe, finish, run


def tell(word):
    print(word, flush=True)


def continue_run(name, num_realizations):
    """Continue a run in chunks and tell how many realizations are missing after every commit."""
    for writer in run(name, describe(num_realizations), chunk=3, backwards=True):
        tell(len(writer.missing))


def churn(name, num_realizations):
    """Run, extend, overwrite, prune and delete without end."""
    tell("ready")
    while True:
        for seed in range(3):
            finish(name, describe(num_realizations // 2, seed=seed), overwrite=True)
            finish(name, describe(num_realizations, seed=seed))
            prune_experiment("bn_ff", name)
        delete_experiment(name)


def hold(name, num_realizations):
    """Commit once and stay."""
    for _ in run(name, describe(num_realizations)):
        tell("ready")
        sys.stdin.read()


if __name__ == "__main__":
    scenario, name, num_realizations = sys.argv[1:]
    {"run": continue_run, "churn": churn, "hold": hold}[scenario](name, int(num_realizations))
