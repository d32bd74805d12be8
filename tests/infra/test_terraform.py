"""The cell on AWS against the code that runs there, and against Terraform where it is at hand."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from config.env import REQUIRED_TO_SERVE
from infra.local.service import REPOSITORY

CELL = REPOSITORY / "infra/terraform"
# Read by libraries, not by us.
FOREIGN = {"DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"}


def names_in(file: str, block: str) -> set[str]:
    """Names of the variables set in one map of one file."""
    text = (CELL / file).read_text()
    body = re.search(rf"^  {block} = \{{\n(.*?)^  \}}", text, re.MULTILINE | re.DOTALL)
    assert body is not None
    return set(re.findall(r"^    ([A-Z][A-Z0-9_]+)\s*=", body[1], re.MULTILINE))


def read_by_the_code() -> set[str]:
    settings = "".join(file.read_text() for file in (REPOSITORY / "config").glob("*.py"))
    return set(re.findall(r'"([A-Z][A-Z0-9_]+)"', settings))


def test_every_variable_that_containers_get_is_read_somewhere():
    given = names_in("locals.tf", "environment") | names_in("secrets.tf", "secrets")

    assert given - FOREIGN <= read_by_the_code()


def test_containers_get_what_serving_cannot_do_without():
    given = names_in("locals.tf", "environment") | names_in("secrets.tf", "secrets")

    assert set(REQUIRED_TO_SERVE) <= given


def test_what_is_secret_is_no_plain_variable():
    plain = names_in("locals.tf", "environment")

    assert not [name for name in plain if re.search(r"KEY|SECRET|PASSWORD|DATABASE|VALKEY", name)]


@pytest.mark.parametrize("block", ["variable", "output"])
def test_every_variable_and_output_is_described(block):
    text = (CELL / f"{block}s.tf").read_text()
    for name, body in re.findall(rf'^{block} "(\w+)" \{{\n(.*?)^\}}', text, re.M | re.S):
        assert re.search(r"^  description\s+= \".+\"$", body, re.M), name
        assert block == "output" or re.search(r"^  type\s+= ", body, re.M), name


def test_every_folder_of_code_is_in_the_image():
    copied = set(re.findall(r"^COPY (\w+) \1$", (CELL.parent / "Containerfile").read_text(), re.M))

    floors = {path.parent.name for path in Path(REPOSITORY).glob("*/__init__.py")}
    assert floors - {"infra", "tests"} == copied


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")
def test_files_are_formatted():
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", "-no-color"],
        cwd=CELL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
