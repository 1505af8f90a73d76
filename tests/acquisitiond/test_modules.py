"""What is remembered of each module: read it, look for it, or leave it alone."""

import pytest

from acquisitiond.instrument import Profile
from acquisitiond.modules import (
    ABSENT_FOR,
    MISREAD_AFTER,
    SILENT_FOR,
    SUSPECT_AFTER,
    Inventory,
)

TWO = Profile((1, 2))
MOMENT = 0.001


@pytest.fixture
def inventory() -> Inventory:
    return Inventory((4,))


def test_a_configured_module_is_taken_on_trust(inventory: Inventory) -> None:
    assert inventory.profile(4) == Profile()
    assert inventory.to_probe([4], 0.0) is None


def test_a_module_that_nobody_configured_is_looked_for_before_it_is_read(
    inventory: Inventory,
) -> None:
    assert inventory.profile(7) is None
    assert inventory.to_probe([4, 7], 0.0) == 7
    assert inventory.profile(7) is None


def test_a_module_is_looked_for_only_once_at_a_time(inventory: Inventory) -> None:
    assert inventory.to_probe([7], 0.0) == 7
    assert inventory.to_probe([7], 1000.0) is None
    assert inventory.to_probe([7, 8], 1000.0) == 8


def test_what_was_found_is_read_as_it_was_found(inventory: Inventory) -> None:
    inventory.to_probe([7], 0.0)
    inventory.found(7, TWO, 1.0)
    assert inventory.profile(7) == TWO
    assert inventory.to_probe([7], 1000.0) is None


@pytest.mark.parametrize("definite", [True, False])
def test_a_module_that_is_not_there_is_left_alone_for_a_while(
    inventory: Inventory, definite: bool
) -> None:
    inventory.to_probe([7], 0.0)
    inventory.absent(7, definite, 5.0)
    assert inventory.profile(7) is None
    assert inventory.to_probe([7], 5.0 + ABSENT_FOR - MOMENT) is None
    assert inventory.to_probe([7], 5.0 + ABSENT_FOR) == 7


def lose(inventory: Inventory, number: int) -> None:
    for _ in range(SUSPECT_AFTER):
        inventory.lost_link(number)


def test_a_configured_module_that_was_silent_is_looked_for_again_soon(
    inventory: Inventory,
) -> None:
    lose(inventory, 4)
    assert inventory.to_probe([4], 0.0) == 4
    inventory.absent(4, False, 5.0)
    assert inventory.to_probe([4], 5.0 + SILENT_FOR - MOMENT) is None
    assert inventory.to_probe([4], 5.0 + SILENT_FOR) == 4


def test_a_configured_module_that_is_definitely_absent_is_left_alone_longer(
    inventory: Inventory,
) -> None:
    lose(inventory, 4)
    inventory.to_probe([4], 0.0)
    inventory.absent(4, True, 5.0)
    assert inventory.to_probe([4], 5.0 + ABSENT_FOR - MOMENT) is None
    assert inventory.to_probe([4], 5.0 + ABSENT_FOR) == 4


def test_one_lost_link_is_the_instruments_fault_and_two_in_a_row_are_suspicious(
    inventory: Inventory,
) -> None:
    for _ in range(SUSPECT_AFTER - 1):
        inventory.lost_link(4)
    assert inventory.profile(4) is not None
    inventory.lost_link(4)
    assert inventory.profile(4) is None
    assert inventory.to_probe([4], 0.0) == 4


def test_a_reading_between_two_lost_links_clears_the_suspicion(inventory: Inventory) -> None:
    for _ in range(10):
        inventory.lost_link(4)
        inventory.read(4)
    assert inventory.profile(4) is not None


def test_answers_of_another_shape_let_the_module_be_looked_at_anew(inventory: Inventory) -> None:
    for _ in range(MISREAD_AFTER - 1):
        inventory.misread(4, 10.0)
    assert inventory.profile(4) is not None
    inventory.misread(4, 10.0)
    assert inventory.profile(4) is None
    assert inventory.to_probe([4], 10.0) == 4


def test_a_good_reading_clears_the_misreads_before_it(inventory: Inventory) -> None:
    for _ in range(10):
        for _ in range(MISREAD_AFTER - 1):
            inventory.misread(4, 10.0)
        inventory.read(4)
    assert inventory.profile(4) is not None


def test_a_probe_that_finds_what_misleads_is_not_repeated_at_full_speed(
    inventory: Inventory,
) -> None:
    for _ in range(MISREAD_AFTER):
        inventory.misread(4, 0.0)
    assert inventory.to_probe([4], 0.0) == 4
    inventory.found(4, Profile(), 0.0)
    for _ in range(10 * MISREAD_AFTER):
        inventory.misread(4, SILENT_FOR - MOMENT)
    assert inventory.profile(4) is not None
    inventory.misread(4, SILENT_FOR)
    assert inventory.profile(4) is None


def test_a_configured_module_stays_configured_when_it_was_found(inventory: Inventory) -> None:
    lose(inventory, 4)
    inventory.to_probe([4], 0.0)
    inventory.found(4, TWO, 0.0)
    lose(inventory, 4)
    assert inventory.to_probe([4], 10.0) == 4
    inventory.absent(4, False, 10.0)
    assert inventory.to_probe([4], 10.0 + SILENT_FOR) == 4


def test_another_instrument_makes_all_that_was_known_worthless(inventory: Inventory) -> None:
    for module in (7, 8):
        inventory.to_probe([module], 0.0)
    inventory.found(7, TWO, 0.0)
    inventory.absent(8, True, 0.0)
    lose(inventory, 4)
    inventory.new_instrument()
    assert inventory.profile(4) == Profile()
    assert inventory.profile(7) is None
    assert inventory.to_probe([7, 8], 0.0) == 7
    assert inventory.to_probe([7, 8], 0.0) == 8
