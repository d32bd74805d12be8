"""Every task, as the wrong factory; every task that belongs to a factory refuses to run without."""

import pytest
from django.core.exceptions import ObjectDoesNotExist

from tenants import jobs
from tenants.context import factory_context
from tests.isolation.objects import TASK_ARGUMENTS

FACTORY_TASKS = sorted(
    name
    for name, spec in jobs.registered().items()
    if spec.needs_factory and not name.startswith("test.")
)


@pytest.mark.parametrize("name", FACTORY_TASKS)
def test_a_task_refuses_to_run_without_a_factory(db, name):
    with pytest.raises(jobs.JobRefused):
        jobs.call(name, job=jobs.JobHandle("00000000-0000-0000-0000-000000000000"))


@pytest.mark.parametrize("name", FACTORY_TASKS)
def test_a_task_finds_nothing_of_another_factory(acme, globex, name):
    assert name in TASK_ARGUMENTS, f"add {name} to tests/isolation/objects.py"
    with factory_context(acme):
        arguments = TASK_ARGUMENTS[name](acme)

    with pytest.raises((jobs.JobRefused, ObjectDoesNotExist)):
        jobs.call(
            name,
            factory=globex,
            job=jobs.JobHandle("00000000-0000-0000-0000-000000000000"),
            **arguments,
        )
