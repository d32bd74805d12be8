import socket
from collections.abc import Iterator

import pytest

from infra.local.ports import HIGHEST, NoFreePort, Reservations, is_free

BASE = 21800


@pytest.fixture
def reservations() -> Iterator[Reservations]:
    reservations = Reservations()
    yield reservations
    reservations.release()


@pytest.fixture
def occupied() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", BASE)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_is_passed_over(reservations, occupied):
    assert reservations.reserve(occupied) == occupied + 1


def test_a_port_taken_on_ipv6_only_is_passed_over(reservations):
    with socket.create_server(("::1", BASE + 20), family=socket.AF_INET6):
        assert reservations.reserve(BASE + 20) == BASE + 21


def test_another_installation_gets_another_port_before_anyone_listens(reservations):
    others = Reservations()

    first, second = reservations.reserve(BASE + 40), others.reserve(BASE + 40)

    others.release()
    assert (first, second) == (BASE + 40, BASE + 41)


def test_a_group_of_ports_moves_together(reservations, occupied):
    port = reservations.reserve(occupied - 2, offsets=(0, 1, 2))

    assert port == occupied + 1
    assert is_free(port)


def test_a_released_port_can_be_had_again(reservations):
    reservations.reserve(BASE + 60)
    reservations.release()

    assert reservations.reserve_exactly(BASE + 60) == BASE + 60


def test_a_port_asked_for_by_number_is_not_exchanged(reservations, occupied):
    with pytest.raises(NoFreePort, match=str(occupied)):
        reservations.reserve_exactly(occupied)


def test_ports_of_outgoing_connections_are_never_given(reservations):
    with pytest.raises(NoFreePort):
        reservations.reserve(HIGHEST, offsets=(0, 1))
