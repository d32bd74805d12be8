"""A training that is killed anywhere ends once; without S3 or MLflow scoring goes on."""

import os
import random
import time
from collections.abc import Iterator

import pytest

from tests.resilience.crew import Say
from tests.resilience.school import School, away, running_school, wait_until

pytestmark = [pytest.mark.resilience, pytest.mark.slow]

# Rounds of each step and victim.
N_ROUNDS = int(os.environ.get("RESILIENCE_ROUNDS", "1"))
TRAINING_S = 120.0
# What the job says at each step, and how much later, at most, the signal comes. One that is over
# sooner is killed where it would say what comes next.
STEPS = {
    "Reading history": 0.0,
    "Training member": 0.4,
    "Storing the model": 0.0,
    "Comparing it with the one in service": 0.0,
    "Recording the run": 0.4,
}


@pytest.fixture(scope="module")
def school() -> Iterator[School]:
    with running_school() as found:
        yield found


def check(school: School, job_id: str) -> None:
    """See that each version has one object and one finished run, and the job one version."""
    versions = school.ask("versions")
    book = school.ask("book")

    assert [v["job_id"] for v in versions].count(job_id) == 1
    assert school.ask("objects") == {v["artifact_key"]: v["digest"] for v in versions}
    assert book["digests"] == {v["mlflow_run_id"]: v["digest"] for v in versions}
    assert set(book["runs"].values()) == {"FINISHED"}
    assert book["registered"] == sorted(v["mlflow_run_id"] for v in versions)


@pytest.mark.parametrize("victim", ["kill_child", "kill_parent"])
@pytest.mark.parametrize("step", STEPS)
def test_a_training_killed_at_any_step_ends_once(school: School, say: Say, victim: str, step: str):
    for seed in range(N_ROUNDS):
        chance = random.Random(f"{victim} {step} {seed}")
        with school.kept_at(step):
            job_id = school.train()
            school.wait_for_step(job_id, step, at_most_s=TRAINING_S)
            time.sleep(chance.uniform(0.0, STEPS[step]))
            getattr(school, victim)(chance)
            state, killed_at, _, _ = school.job(job_id)
        school.let_lease_pass(job_id)

        assert school.wait_ended(job_id, at_most_s=TRAINING_S) == "done"

        assert (state, killed_at.startswith(step)) == ("running", True)
        check(school, job_id)
        n_attempts = school.job(job_id)[2]
        say(f"{victim} at {killed_at!r}: attempt {n_attempts} done; 1 version, 1 object, 1 run")


def test_the_lease_of_a_killed_worker_runs_out_by_itself(school: School, say: Say):
    """Nobody sets a clock back here: half a minute, and at most 20 s until the next sweep."""
    job_id = school.train()
    school.wait_for_step(job_id, "Training member", at_most_s=TRAINING_S)
    killed_at = time.monotonic()
    school.kill_child(random.Random(0))

    assert school.wait_ended(job_id, at_most_s=TRAINING_S) == "done"

    say(f"ended {time.monotonic() - killed_at:.0f} s after the kill, lease and sweep included")
    check(school, job_id)


def score(school: School) -> dict[str, object]:
    """Move a mill on by a cycle and return what the worker then says of it."""
    before = school.ask("newest_prediction")["usage"] if school.ask("versions") else None
    assert school.wait_ended(school.ask("score"), at_most_s=60) == "done"
    said: dict[str, object] = school.ask("newest_prediction")
    assert said["usage"] != before
    return said


def ensure_model(school: School) -> None:
    if not school.ask("versions"):
        assert school.wait_ended(school.train(), at_most_s=TRAINING_S) == "done"
    score(school)


def test_without_s3_scoring_goes_on_and_a_training_waits(school: School, say: Say):
    ensure_model(school)
    n_before = len(school.ask("versions"))
    with away(school.stack, "s3"):
        school.stack.restart("worker")  # nothing is loaded any more
        said = score(school)
        job_id = school.train()
        wait_until(lambda: "StorageUnavailable" in school.job(job_id)[3], at_most_s=TRAINING_S)
        n_during = len(school.ask("versions"))
        state = school.job(job_id)[0]
        again = score(school)

    assert school.wait_ended(job_id, at_most_s=TRAINING_S) == "done"

    assert said["state"] == again["state"] == "ok"
    assert (state, n_during) in [("queued", n_before), ("running", n_before)]
    check(school, job_id)
    say(f"S3 away: scored by version {said['version']}; trained at attempt {school.job(job_id)[2]}")


def test_without_mlflow_the_version_serves_and_its_run_is_recorded_later(school: School, say: Say):
    ensure_model(school)
    with away(school.book, "postgres"):
        job_id = school.train()
        assert school.wait_ended(job_id, at_most_s=TRAINING_S) == "done"
        newest = school.ask("versions")[-1]
        said = score(school)

    assert (newest["job_id"], newest["mlflow_run_id"]) == (job_id, "")
    assert said["state"] == "ok"
    assert school.let_delay_pass("mlops.record_run") >= 1
    started = time.monotonic()
    wait_until(lambda: school.ask("versions")[-1]["mlflow_run_id"], at_most_s=TRAINING_S)
    check(school, job_id)
    say(f"MLflow away: scored meanwhile; recorded {time.monotonic() - started:.0f} s after its due")
