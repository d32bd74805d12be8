"""The page of a machine: chart data, gaps, table, file, and the card of its remaining life."""

import csv
import io
from datetime import timedelta

import pytest
from django.utils import timezone

from frontend import life_card
from mlops.models import Kind, ModelVersion, Prediction
from telemetry.models import Signal


@pytest.fixture
def machine_url(mill) -> str:
    return f"/machines/{mill.pk}/"


def test_a_machine_without_a_device_says_what_to_do(portal, machine_url):
    page = portal().get(machine_url).content.decode()

    assert "No device reports for Mill 1" in page
    assert f"/start/?machine={machine_url.split('/')[2]}" in page


def test_a_machine_with_readings_is_drawn(portal, machine_url, heard):
    heard({"vib_rms_mm_s": 4.6})

    page = portal("viewer").get(machine_url).content.decode()

    assert f'data-chart="{machine_url}series.json?range=8h' in page
    assert "4.6" in page


def test_the_chart_gets_readings_and_the_gap_before_them(portal, machine_url, heard):
    now = timezone.now()
    for minutes in range(30, 0, -1):
        heard({"vib_rms_mm_s": 4.0 + minutes / 100}, at=now - timedelta(minutes=minutes))

    data = portal("viewer").get(f"{machine_url}series.json?range=1h").json()

    (panel,) = data["panels"]
    assert len(panel["series"][0]["avg"]) == 30
    (gap,) = data["gaps"]
    assert (gap[1] - gap[0]) / 60 == pytest.approx(30, abs=2)


def test_a_signal_of_another_machine_is_not_drawn(portal, machine_url, heard):
    heard({"vib_rms_mm_s": 4.6})

    data = portal().get(f"{machine_url}series.json?range=1h&signal=999999").json()

    assert [panel["series"][0]["key"] for panel in data["panels"]] == ["vib_rms_mm_s"]


def test_the_file_has_a_row_a_bucket(portal, machine_url, heard):
    heard({"vib_rms_mm_s": 4.6})

    answer = portal().get(f"{machine_url}series.csv?range=1h")

    rows = list(csv.reader(io.StringIO(answer.content.decode())))
    assert rows[0][:2] == ["from_utc", "vib_rms_mm_s avg"]
    assert rows[1][1:] == ["4.6", "4.6", "4.6", "1"]


def test_the_table_tells_the_same_in_words(portal, machine_url, heard):
    device = heard({"vib_rms_mm_s": 4.6})
    Signal.objects.filter(device=device).update(label="Vibration", unit="mm/s")

    page = portal().get(f"{machine_url}readings/?range=1h").content.decode()

    assert "Vibration, mm/s" in page
    assert "4.6" in page


def predict(mill, **fields):
    version = ModelVersion.objects.create(
        kind=Kind.REMAINING_LIFE,
        machine_type=mill.machine_type,
        version=3,
        job_id="11111111-1111-1111-1111-111111111111",
        artifact_key="-",
        digest="-",
        unit="cycles",
        metrics={"rmse_capped": 12.2, "n_lives": 100},
        created_at=timezone.now(),
    )
    usual = {"state": "ok", "rul": 12.4, "rul_low": 8.7, "rul_high": 17.3, "unit": "cycles"}
    Prediction.objects.create(
        machine=mill, version=version, made_at=timezone.now(), **(usual | fields)
    )


def test_remaining_life_comes_as_an_interval_with_reasons_and_a_record(
    portal, machine_url, mill, heard
):
    heard({"vib_rms_mm_s": 4.6})
    predict(mill, reasons=[{"share": 0.52, "sentence": "Vibration is 4.6 mm/s. Usual: 2.1."}])

    page = portal().get(machine_url).content.decode()

    assert "Spindle bearing: remaining life" in page
    assert "9 to 17 cycles" in page
    assert "4 chances in 5. Best estimate: 12 cycles." in page
    assert "52 %" in page
    assert "off by about 12 cycles" in page


def test_an_end_that_is_not_in_sight_is_said_so(portal, machine_url, mill, heard):
    heard({"vib_rms_mm_s": 4.6})
    predict(mill, rul=110, rul_low=96, rul_high=125, is_open_ended=True)

    assert "More than 96 cycles" in portal().get(machine_url).content.decode()


def test_a_model_that_was_refused_is_not_shown_as_a_figure(portal, machine_url, mill, heard):
    heard({"vib_rms_mm_s": 4.6})
    predict(mill, state="refused", message="The signature of the model does not hold.")

    page = portal().get(machine_url).content.decode()

    assert "We cannot tell at the moment" in page
    assert "The signature of the model does not hold." in page


def test_too_little_history_is_a_proper_answer(portal, machine_url, heard):
    heard({"vib_rms_mm_s": 4.6})

    assert "Not enough data yet" in portal().get(machine_url).content.decode()


def test_a_search_finds_machines_by_a_part_of_their_name(portal, mill):
    assert "Mill 1" in portal().get("/machines/?q=ill").content.decode()
    assert "No machine is called" in portal().get("/machines/?q=lathe").content.decode()


def test_a_silent_machine_is_never_shown_as_idle(portal, mill, heard):
    heard({"vib_rms_mm_s": 4.6}, at=timezone.now() - timedelta(hours=1))

    page = portal().get("/").content.decode()

    assert 'class="tile is-nodata"' in page
    assert 'class="tile is-idle' not in page


def test_the_chance_of_failure_is_told_as_far_as_it_is_known():
    said = Prediction(chances={"14": 0.998, "7": 0.31, "30": None})

    assert life_card._chances_words(said) == "Failure within 7 days: 31 %; 14 days: 99 %."
    assert life_card._chances_words(Prediction(chances={"7": None})) == ""
