"""
How long after the end of an analysis its result is fetched, and after how many looks.

Plays the waiting loop of `Job.wait` on a clock of its own for analyses of many lengths, beside a loop that looks once
a second, and prints the mean overshoot and the number of looks. Run it as ``python benchmarks/polling.py``.
"""

from __future__ import annotations

import random
import statistics
from unittest import mock

from astroquery_mmoda import conf
from astroquery_mmoda.jobs.job import Job
from astroquery_mmoda.service.account import Account

LENGTHS = (0.5, 2, 10, 60, 600, 3600, 86400)
RUNS = 200
# what one look costs: a round trip over the internet
TRIP = 0.05


def play(length: float) -> tuple[float, int]:
    """Overshoot in seconds and number of looks of `Job.wait` for an analysis of this length."""
    clock = [0.0]
    looks = [0]

    def poll(job: Job, patience: object) -> None:
        looks[0] += 1
        clock[0] += TRIP
        if clock[0] - TRIP / 2 >= length:
            job.status = "failed"  # over; products are not what is measured

    job = Job(Account().connect(conf.server), "isgri", "isgri_lc", {}, "S", job_id="0123", status="submitted")
    with (
        mock.patch("astroquery_mmoda.jobs.waiting.time.monotonic", lambda: clock[0]),
        mock.patch(
            "astroquery_mmoda.jobs.waiting.time.sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds)
        ),
        mock.patch.object(Job, "_poll", poll),
    ):
        job.wait(10 * length + 100, progress=False)
    return clock[0] - length, looks[0]


def once_a_second(length: float) -> tuple[float, int]:
    """The same for a loop with a fixed pause."""
    looks = int(length / (1 + TRIP)) + 1
    return looks * (1 + TRIP) - length, looks


def main() -> None:
    random.seed(1)
    print(f"{'length':>10}  {'ours: overshoot':>16} {'looks':>6}   {'1 s: overshoot':>15} {'looks':>6}   goal")
    for length in LENGTHS:
        lengths = [length * random.uniform(0.8, 1.2) for _ in range(RUNS)]
        ours, fixed = ([run(each) for each in lengths] for run in (play, once_a_second))
        over, looks = (statistics.mean(values) for values in zip(*ours, strict=True))
        fixed_over, fixed_looks = (statistics.mean(values) for values in zip(*fixed, strict=True))
        goal = max(0.15, 0.06 * length)
        told = "reached" if over < goal + TRIP else "missed"
        print(
            f"{length:>8g} s  {over:>14.2f} s {looks:>6.0f}   {fixed_over:>13.2f} s {fixed_looks:>6.0f}   "
            f"{told} (below {goal:g} s)"
        )
    print(f"\nLooks in one hour: {play(3600)[1]} (goal: below 450); longest pause {conf.poll_interval_max:g} s")


if __name__ == "__main__":
    main()
