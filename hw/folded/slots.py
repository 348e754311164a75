"""Slots of a line buffer: how many positions it holds, and how one goes around in it."""

from dataclasses import replace

from amaranth.hdl import Array, Cat

from .rhythm import interval_cycles

__all__ = [
    "around",
    "bank_address",
    "bank_words",
    "enough_slots",
    "power_of_two",
    "set_slots",
]

# From a beat that completes a position to the room that comes when a position has used it.
_ROUND_CYCLES = 6
_GAIN = 1.01
# Numbers of slots are so many eighths of a power of two: then four bits say who has gone around,
# which takes so many LUTs in all, and for each address.
_EIGHTHS = (8, 7, 6, 5)
_AROUND_LUTS, _ADDRESS_LUTS = 50, 3


def set_slots(spec, name) -> None:
    """Give ``spec`` as many slots as it needs, unless it has some; refuse too few.

    At least as many as one position needs and the next one's beats. Where outputs do not follow
    each other evenly (strides, no padding), as many more as frames gain a percent by: input goes
    on while no output can be started.

    Raises
    ------
    ValueError
        If ``slots`` is no power of two, nor 5, 6 or 7 eighths of one, or less than one position
        needs.
    """
    raster, beats, cycles = spec.raster, spec.beats_position, spec.position_cycles
    if spec.slots:
        if spec.slots < raster.reach or spec.slots not in _eighths(spec.slots):
            raise ValueError(
                f"{name}: slots must be at least {raster.reach}, and a power of two or 5, 6 or 7 "
                f"eighths of one, not {spec.slots}"
            )
        return

    def interval(slots):
        object.__setattr__(spec, "slots", slots)
        return interval_cycles(spec)

    least = raster.reach - (-(beats + _ROUND_CYCLES) // max(cycles, beats))
    slots = _power(least)
    if len(set(raster.steps)) == 1:
        object.__setattr__(spec, "slots", enough_slots(spec, least))
        return
    best, ideal = interval(slots), max(raster.inputs * beats, raster.outputs * cycles)
    while best > ideal * _GAIN and slots < 2 * raster.inputs:
        less = interval(2 * slots)
        if best < less * _GAIN:
            break
        slots, best, least = 2 * slots, less, slots + 1
    price = _price(spec, slots)
    for fewer in reversed(_choices(spec, least)):
        if _price(spec, fewer) < price and interval(fewer) <= best:
            return
    object.__setattr__(spec, "slots", slots)


def enough_slots(spec, least: int) -> int:
    """``least`` slots or more, where these are cheapest; of equal ones a power of two."""
    return min(_choices(spec, least), key=lambda slots: _price(spec, slots))


def around(total, slots: int):
    """``total`` modulo ``slots``; it must be less than twice as large. A table of four bits."""
    low = (slots & -slots).bit_length() - 1
    turn = slots >> low
    if turn == 1:
        return total[:low]
    return Cat(total[:low], Array(k % turn for k in range(2 * turn))[total[low:]])


def bank_words(spec, slots: int) -> int:
    """Words of a bank of so many slots."""
    program = spec.program
    channels = program.layout.locals if _slot_first(spec, slots) else 1 << program.local_bits
    return slots * channels


def bank_address(spec, slot, local):
    """Where a bank has channel ``local`` of the position at ``slot``."""
    slot, local = slot[: spec.slot_bits], local[: spec.program.local_bits]
    return Cat(slot, local) if _slot_first(spec, spec.slots) else Cat(local, slot)


def _slot_first(spec, slots):
    """Whether the slot makes the low bits of an address, which wastes nothing if it has them all.

    Lanes of a split program that idle may ask for channels that there are not.
    """
    channels = spec.program.layout.locals
    return not spec.program.split and power_of_two(slots) and not power_of_two(channels)


def power_of_two(count: int) -> bool:
    """Whether one goes around in so many slots by leaving out a carry; else it takes a table."""
    return count & (count - 1) == 0


def _power(least):
    return 1 << (least - 1).bit_length()


def _choices(spec, least):
    """Numbers of slots worth a thought: of LUT RAMs a few less are not worth the table."""
    found = _eighths(least)
    return found if _banks(spec, found[0]).kind == "block" else found[:1]


def _eighths(least):
    """Numbers of slots from ``least`` to the next power of two, which comes first."""
    most = _power(least)
    return [
        eighths * most // 8
        for eighths in _EIGHTHS
        if eighths * most % 8 == 0 and eighths * most >= 8 * least
    ]


def _banks(spec, slots):
    return replace(spec.bank_store, depth=bank_words(spec, slots))


def _price(spec, slots):
    """What banks of so many slots take in LUTs, a block RAM for as many as it is worth."""
    store = _banks(spec, slots)
    block = store.kind == "block"
    price = store.fabric.worth * store.blocks if block else store.copies * store.sites
    return price + (not power_of_two(slots)) * (_AROUND_LUTS + _ADDRESS_LUTS * store.copies)
