"""Lots cut from simulated machines: of their plans, the same again, and worth learning from."""

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest

from config.demo import batches, brackets, filling
from config.demo.batches import MadeLot
from config.demo.machines import ACME, GLOBEX
from config.demo.plan import DAY_S
from config.demo.simulator import SimulatedMachine, simulate

ANCHOR = datetime(2026, 11, 17, 9, 42, tzinfo=UTC).timestamp()
DAYS = 28


def _machines(spec, *, ahead: float = 2 * DAY_S) -> dict[str, SimulatedMachine]:
    made = simulate(spec, seed=7, anchor=ANCHOR, days=DAYS, until=ANCHOR + ahead)
    return {machine.name: machine for machine in made}


@pytest.fixture(scope="module")
def globex_machines():
    return _machines(GLOBEX)


@pytest.fixture(scope="module")
def acme_machines():
    return _machines(ACME)


@pytest.fixture(scope="module")
def filled(globex_machines) -> list[MadeLot]:
    return [lot for lot in filling.lots(list(globex_machines.values())) if lot.ended <= ANCHOR]


def test_a_batch_is_what_the_counter_of_the_machine_counts_between_its_ends(acme_machines):
    mill = acme_machines["Mill 2"]
    made = batches.cut(mill, size=80, products=("Bracket B7",))

    for batch in made[:40]:
        ends = (np.array([batch.started, batch.ended]) * 1000).astype(np.int64)
        first, last = mill.readings(ends).columns["part_count"]
        assert last - first == pytest.approx(batch.n_pieces, abs=2)
        program = mill.readings(ends[:1] + 60_000).columns["program"]
        assert program == ["Bracket B7"]


def test_batches_of_a_machine_follow_each_other(acme_machines):
    made = batches.cut(acme_machines["Mill 1"], size=80)

    assert all(a.ended <= b.started + 1 for a, b in pairwise(made))
    assert all(32 <= batch.n_pieces < 80 + 32 for batch in made)
    assert len({batch.tag for batch in made}) == len(made)


def test_a_plan_drawn_further_ahead_keeps_its_lots(globex_machines):
    ahead = list(_machines(GLOBEX, ahead=10 * DAY_S).values())
    begun = [lot for lot in filling.lots(list(globex_machines.values())) if lot.started <= ANCHOR]

    again = [lot for lot in filling.lots(ahead) if lot.started <= ANCHOR]

    assert again == begun


def test_what_a_lot_is_made_from_was_ready_before(filled):
    for lot in filled:
        first, second = lot.steps
        assert first.batch.ended + filling.LEAD_S <= second.batch.started


def test_some_jars_are_out_of_their_limits_and_what_moves_them_is_in_the_readings(
    globex_machines, filled
):
    weights = filling.weights(filled, globex_machines)
    out = (weights < filling.LOWER_G) | (weights > filling.UPPER_G)
    heat = [
        c["product_temp_c"] for c in batches.conditions([x.last for x in filled], globex_machines)
    ]
    thick = [float(lot.steps[0].parameters["thickener_pct"] or 0) for lot in filled]

    assert len(filled) > 150
    assert 0.05 < out.mean() < 0.18
    assert (weights == filling.weights(filled, globex_machines)).all()
    assert np.corrcoef(heat, weights)[0, 1] < -0.25
    assert np.corrcoef(thick, weights)[0, 1] > 0.35


def test_the_staged_lot_is_being_filled_at_the_first_start_and_goes_wrong(globex_machines):
    machines = list(globex_machines.values())
    (staged,) = (
        lot
        for lot in filling.lots(machines)
        if lot.last.machine == filling.STAGED and lot.last.started <= ANCHOR < lot.ended
    )

    weight = filling.weights([staged], globex_machines)[0]

    assert float(staged.steps[0].parameters["thickener_pct"] or 0) > 2.9
    assert weight > filling.NOMINAL_G + 2


def test_conditions_leave_out_the_minutes_in_which_nothing_was_made(globex_machines, filled):
    # At rest nothing is dosed: a mean over all minutes would lie far below.
    found = batches.conditions([lot.last for lot in filled], globex_machines)

    assert all(each["fill_weight_g"] == pytest.approx(352.8, abs=1.5) for each in found)


def test_brackets_are_milled_when_the_demonstration_first_starts(acme_machines):
    lots = brackets.lots(list(acme_machines.values()))

    running = [lot for lot in lots if lot.last.started <= ANCHOR < lot.ended]

    assert "Mill 2" in {lot.last.machine for lot in running}
    assert min(lot.last.started for lot in lots) >= ANCHOR - brackets.DAYS_BACK * DAY_S


def test_about_one_bracket_in_twelve_is_spoilt_the_same_ones_every_time(acme_machines):
    lots = brackets.lots(list(acme_machines.values()))[:30]
    pieces = [brackets.piece(lot, n) for lot in lots for n in range(1, lot.last.n_pieces + 1)]

    share = np.mean([bool(piece.flaws) for piece in pieces])

    assert share == pytest.approx(brackets.DEFECTIVE_SHARE, abs=0.025)
    assert pieces == [brackets.piece(piece.lot, piece.number) for piece in pieces]
    assert all(lot.started < p.seen <= lot.ended + 60 for lot in lots
               for p in [brackets.piece(lot, lot.last.n_pieces)])  # fmt: skip


def test_most_brackets_are_in_their_limits_and_some_are_not(acme_machines):
    lots = [lot for lot in brackets.lots(list(acme_machines.values())) if lot.ended <= ANCHOR]

    gauged = brackets.gauged(lots, acme_machines)

    out = [not 24.0 <= one.bore_mm <= 24.021 or one.flatness_mm > 0.05 for one in gauged]
    assert 0 < np.mean(out) < 0.2


def test_the_lamp_tires_until_it_is_changed():
    told = [brackets.lamp(ANCHOR + h * 3600, anchor=ANCHOR) for h in (-48, -12, 0, 24)]

    assert [light.gradient == 0 for light in told] == [True, False, False, True]
    assert told[1].gradient < told[2].gradient
    # At the same time of day, with the same daylight.
    assert told[2].gain < told[0].gain - 0.1
    assert told[3].gain == pytest.approx(told[0].gain)
