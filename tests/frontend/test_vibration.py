"""The page of a machine's vibration: pictures, words, the form of a point, who may change it."""

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.utils import timezone

from frontend.vibration_chart import spectrum_chart, trend_chart
from mlops import services
from mlops.models import BearingPlace
from mlops.vibration.bearing import Part
from mlops.vibration.pictures import Mark
from mlops.vibration.spectra import Spectrum
from tests.mlops.vibration.test_bursts import POINT, bearing_6205, faulty, sent

GEOMETRY = {
    "point": POINT, "bearing": "6205", "n_elements": "9", "element_mm": "7.94",
    "pitch_mm": "39.04", "angle_deg": "0", "machine_group": "group 2", "support": "rigid",
    "scope": "machine",
}  # fmt: skip


def text_of(answer, status=200):
    assert answer.status_code == status, answer.content[:2000]
    return answer.content.decode()


@pytest.fixture
def path(mill):
    return f"/machines/{mill.pk}/vibration/"


@pytest.fixture
def shaken(mill):
    """Two points; the first with a bearing that is known, heard twice."""
    bearing_6205(mill)
    at = timezone.now() - timedelta(hours=1)
    raw = [faulty(taken_at=(at - timedelta(days=n)).isoformat()) for n in (3, 0)]
    other = sent(point="fan end", taken_at=(at - timedelta(hours=1)).isoformat())
    services.store_bursts(machine=mill, raw=[*raw, other], now=timezone.now())
    return mill


def test_the_machine_s_page_leads_there(mill, portal, path):
    assert path in text_of(portal("viewer").get(f"/machines/{mill.pk}/"))


def test_without_bursts_the_page_says_how_to_post_one(mill, portal, path):
    html = text_of(portal("engineer").get(path))

    assert "No burst yet" in html
    assert f"/api/v1/machines/{mill.pk}/vibration" in html
    assert "Bearer takt_api_" in html


def test_the_newest_point_is_shown_with_its_lines_and_what_to_check(shaken, portal, path):
    html = text_of(portal("viewer").get(path))

    assert "Outer race of the bearing 6205 at drive end, radial: 3 harmonics" in html
    assert "What to check first" in html
    assert re.search(r'class="defect outer high"', html)
    for name in ("BPFO", "2 x BPFO", "BPFI", "2xBSF", "FTF"):
        assert f">{name}</text>" in html
    assert re.search(r"Zone [A-D]: ", html)
    assert "ISO 10816-3:2009" in html
    assert html.count("<circle") == 2
    assert " style=" not in html.split("<main")[1]


def test_another_point_and_an_earlier_burst_have_addresses(shaken, portal, path):
    fan = text_of(portal("viewer").get(f"{path}?point=fan+end"))
    links = re.findall(r'href="([^"]*burst=[^"]+)"', text_of(portal("viewer").get(path)))
    earlier_url = links[0].replace("&amp;", "&")

    assert "The bearing of this point is not known" in fan
    assert "An earlier burst" in text_of(portal("viewer").get(earlier_url))


@pytest.mark.parametrize("query", ["?point=nowhere", "?burst=x", "?point=%00", "?burst="])
def test_what_is_not_there_shows_the_newest(shaken, portal, path, query):
    assert "Newest burst" in text_of(portal("viewer").get(path + query))


def test_a_burst_without_samples_shows_its_figures(shaken, portal, path):
    services.thin_bursts(n_whole=0)

    html = text_of(portal("viewer").get(path))

    assert "no longer kept" in html
    assert "Crest factor" in html


def test_an_engineer_says_what_the_bearing_is(shaken, portal, path):
    answer = portal("engineer").post(f"{path}place/", GEOMETRY | {"point": "fan end"})

    assert answer.status_code == 302
    assert answer["Location"] == f"{path}?point=fan+end"
    assert BearingPlace.objects.get(point="fan end").n_elements == 9


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"element_mm": "40"}, "smaller than their pitch circle"),
        ({"pitch_mm": ""}, "both diameters"),
        ({"n_elements": "two"}, "whole number"),
        ({"element_mm": "nan"}, "Enter a number"),
        ({"scope": "world"}, "valid choice"),
    ],
)
def test_a_bearing_that_cannot_be_is_sent_back(shaken, portal, path, changed, words):
    html = text_of(portal("engineer").post(f"{path}place/", GEOMETRY | changed), 422)

    assert words in html


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_may_not_change_a_point(shaken, portal, path, role):
    assert "What is known of a point" not in text_of(portal(role).get(path))
    assert portal(role).post(f"{path}place/", GEOMETRY).status_code == 403


def test_the_page_takes_a_fixed_number_of_queries(
    shaken, portal, path, django_assert_max_num_queries
):
    viewer = portal("viewer")
    viewer.get(path)
    with django_assert_max_num_queries(12):
        viewer.get(path)


# -- the drawings --------------------------------------------------------------------------------
def test_a_name_that_has_no_room_is_left_out_and_its_line_stays():
    flat = Spectrum(np.arange(0.0, 600.0), np.ones(600))
    marks = [Mark(Part.CAGE, k, f"{k} x FTF", 12.0 * k, 12.0) for k in (1, 2, 3)]

    chart = spectrum_chart(flat, marks, name="Envelope")

    assert [line.name for line in chart.lines] == ["1 x FTF", "", ""]
    assert all(line.is_high for line in chart.lines)
    assert "3 x FTF 36 Hz" in chart.summary


def test_silence_is_drawn_as_a_level_line():
    chart = spectrum_chart(Spectrum(np.arange(0.0, 4.0), np.zeros(4)), [], name="Spectrum")

    assert chart.path == "M52.0 266.0L255.3 266.0L458.7 266.0L662.0 266.0"


def test_one_burst_is_a_dot_and_limits_are_named():
    at = datetime(2026, 11, 26, tzinfo=UTC)

    chart = trend_chart([(at, 2.0, "/")], (1.4, 2.8, 4.5))

    assert chart is not None
    assert (chart.path, len(chart.dots)) == ("", 1)
    assert [limit.words for limit in chart.limits] == ["A | B", "B | C", "C | D"]
    assert trend_chart([], ()) is None


def test_the_form_as_it_is_shown_can_be_saved(shaken, portal, path):
    html = text_of(portal("engineer").get(path))
    form = html.split('id="place"')[1].split("</form>")[0]
    said = dict(re.findall(r'<input[^>]*name="(\w+)" value="([^"]*)"', form))
    said |= dict(re.findall(r'name="(\w+)".*?<option value="([^"]*)" selected', form, re.DOTALL))

    assert portal("engineer").post(f"{path}place/", said).status_code == 302
    assert BearingPlace.objects.get().element_mm == 7.94


def test_the_point_that_matters_most_is_shown_first(shaken, portal, path):
    newer = sent(point="a quiet one", taken_at=timezone.now().isoformat())
    services.store_bursts(machine=shaken, raw=[newer], now=timezone.now())

    assert f"Envelope spectrum of {POINT}" in text_of(portal("viewer").get(path))
