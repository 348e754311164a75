"""The line buffer: input channels in banks, read by place of the kernel and channel."""

from functools import reduce
from operator import or_

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .memory import pipe, ram
from .rom import pack, rom
from .slots import around, bank_address
from .walk import Walk

__all__ = ["LineBuffer"]


class LineBuffer(wiring.Component):
    """Takes beats, gives each lane the code that the program tells its bank to read.

    All rings of a dense program read the same: there is one for all of them.

    Members
    -------
    data, write : ``In``
        A beat, and whether it is one. It can be read four cycles later.
    written, whole : ``Out(1)``
        In the same cycle: the beat ends a position, and a frame.
    slot, blank, outside_rows, outside_columns : ``In``
        Where the running position begins; whether all it reads is to be 0; and two cycles later
        than these, which rows and columns of the kernel are in the padding.
    rotation, tap, local : ``In``
        ``fetch_cycles`` after ``slot``: the program, by ring and by bank.
    x : ``Out``
        Four cycles after the program: a code for each lane.
    """

    DELAY = 4  # cycles from the program to the codes

    def __init__(self, spec):
        self.spec = spec
        program, layout = spec.program, spec.program.layout
        banks = 1 if program.dense else layout.lanes
        rings = 1 if program.dense else layout.rings
        super().__init__(
            {
                "data": In(spec.inputs[0].layout),
                "write": In(1),
                "written": Out(1),
                "whole": Out(1),
                "slot": In(range(spec.slots)),
                "blank": In(1),
                "outside_rows": In(spec.kernel[0]),
                "outside_columns": In(spec.kernel[1]),
                "rotation": In(program.rotation_bits).array(rings),
                "tap": In(program.tap_bits).array(banks),
                "local": In(program.local_bits).array(banks),
                "x": Out(spec.range.shape).array(layout.lanes),
            }
        )

    def follow(self, m, walk):
        """Wire the buffer to the ``walk`` over positions: what is written, what is read."""
        m.d.comb += [
            walk.written.eq(self.written),
            walk.whole.eq(self.whole),
            self.slot.eq(walk.slot),
            self.outside_rows.eq(walk.outside_rows),
            self.outside_columns.eq(walk.outside_columns),
        ]

    def elaborate(self, platform):
        m = Module()
        spec, program = self.spec, self.spec.program
        layout = program.layout
        write, local, slot, data = self._writer(m)

        # Cycle 0: the program. The address is the slot of the place and the channel in the bank.
        base = pipe(m, self.slot, spec.fetch_cycles, "base")
        blank = pipe(m, self.blank, spec.fetch_cycles, "blank")
        late = spec.fetch_cycles - Walk.OUTSIDE
        self._rows = pipe(m, self.outside_rows, late, "rows")
        self._columns = pipe(m, self.outside_columns, late, "columns")
        addresses, outside = [], []
        for number, (tap, place) in enumerate(zip(self.tap, self.local, strict=True)):
            address = Signal(spec.address_bits, name=f"address_{number}", reset_less=True)
            out = Signal(name=f"outside_{number}", reset_less=True)
            read = Signal(range(spec.slots), name=f"slot_{number}")
            offset, padded = self._tap(m, tap, number)
            m.d.comb += read.eq(around(base + offset, spec.slots))
            m.d.sync += [
                address.eq(bank_address(spec, read, place)),
                out.eq(padded | blank),
            ]
            addresses.append(address)
            outside.append(out)

        # Cycle 1: the address goes to the bank. Cycle 2: its word, or that of the padding.
        words = []
        for number in range(spec.bank_store.copies):
            own, bank = (0 if program.dense else number), number % layout.ring
            word = ram(
                m, spec.bank_store, f"bank_{number}",
                write=bank_address(spec, slot, local),
                data=data[bank], enable=write[bank], read=addresses[own],
            )  # fmt: skip
            if spec.range.lo < 0:
                word = word.as_signed()
            first = Signal(spec.range.shape, name=f"read_{number}", reset_less=True)
            code = Signal(spec.range.shape, name=f"code_{number}", reset_less=True)
            hidden = Signal(name=f"hidden_{number}", reset_less=True)
            m.d.sync += [first.eq(word), code.eq(first), hidden.eq(outside[own])]
            with m.If(hidden):
                m.d.sync += code.eq(spec.pad_code)
            words.append(code)

        # Cycle 3: lane i of a ring takes the code of bank (i + rotation) % ring.
        turned = [
            Signal(spec.range.shape, name=f"turned_{k}", reset_less=True) for k in range(len(words))
        ]
        for ring in range(len(words) // layout.ring):
            rotation = self.rotation[ring]
            turn = pipe(m, rotation, 3, f"rotation_{ring}") if program.rotation_bits else None
            codes = words[ring * layout.ring : (ring + 1) * layout.ring]
            for bit in range(program.rotation_bits):
                codes = [
                    Mux(turn[bit], codes[(k + (1 << bit)) % layout.ring], codes[k])
                    for k in range(layout.ring)
                ]
            for k, code in enumerate(codes):
                m.d.sync += turned[ring * layout.ring + k].eq(code)
        for lane, x in enumerate(self.x):
            place = lane
            if program.dense:
                # Rings of other parts are ahead of the first by as many banks.
                place = (lane + int(layout.turned[lane // layout.ring])) % layout.ring
            m.d.comb += x.eq(turned[place])
        return m

    def _tap(self, m, tap, number):
        """How far a tap lies behind the base, and whether it is in the padding."""
        spec, program = self.spec, self.spec.program
        offset, padded = Signal(range(spec.slots), name=f"offset_{number}"), Signal(
            name=f"padded_{number}"
        )  # fmt: skip
        with m.Switch(tap):
            for code, place in zip(program.tap_codes.tolist(), program.taps, strict=True):
                ky, kx = divmod(place, program.columns)
                with m.Case(code):
                    m.d.comb += offset.eq(spec.raster.offset(ky, kx) % spec.slots)
                    if not program.apart:
                        m.d.comb += padded.eq(self._rows[ky] | self._columns[kx])
        if program.apart:
            row, column = tap[program.column_bits :], tap[: program.column_bits]
            m.d.comb += padded.eq(Array(self._rows)[row] | Array(self._columns)[column])
        return offset, padded

    def _writer(self, m):
        """Which banks take the beat, where, and what: one cycle after it came."""
        spec, layout = self.spec, self.spec.program.layout
        beats, slots = spec.beats_position, spec.slots
        beat, position, slot = Signal(range(beats)), Signal(range(spec.raster.inputs)), Signal(
            range(slots)
        )  # fmt: skip
        last = beat == beats - 1
        m.d.comb += [
            self.written.eq(self.write & last),
            self.whole.eq(self.written & (position == spec.raster.inputs - 1)),
        ]
        with m.If(self.write):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))
        with m.If(self.written):
            m.d.sync += [
                slot.eq(around(slot + 1, slots)),
                position.eq(Mux(self.whole, 0, position + 1)),
            ]
        shift = (layout.ring // layout.lanes_in).bit_length() - 1
        local = pipe(m, beat >> shift, 1, "local")
        data = [pipe(m, code, 1, f"data_{k}") for k, code in enumerate(self.data)]
        valid = pipe(m, self.write, 1, "write", reset_less=False)
        enables, codes = self._banks(m, beat, shift, data)
        enables = [valid & enable for enable in enables]
        return enables, local, pipe(m, slot, 1, "write_slot"), codes

    def _banks(self, m, beat, shift, data):
        """For each bank, one cycle after ``beat``: does it take an element, and which one."""
        spec, layout = self.spec, self.spec.program.layout
        width = layout.lanes_in
        if (layout.bank == np.arange(layout.inputs) % layout.ring).all():
            # Every element goes to one of a few banks, one after the other.
            turn = Signal(shift)
            m.d.sync += turn.eq(beat)
            banks = range(layout.ring)
            enables = [turn == bank // width if shift else Const(1) for bank in banks]
            return enables, [data[bank % width] for bank in banks]
        bits = (layout.ring - 1).bit_length()
        words = pack(layout.bank.reshape(-1, width).T, [bits] * width)
        word = rom(m, spec.bank_rom, words, beat)
        enables, codes = [], []
        for bank in range(layout.ring):
            own = [word[k * bits : (k + 1) * bits] == bank for k in range(width)]
            enables.append(Cat(own).any())
            code = data[0]
            if width > 1:
                code = Signal(spec.range.bits, name=f"bank_data_{bank}")
                chosen = [Mux(own[k], data[k].as_unsigned(), 0) for k in range(width)]
                m.d.comb += code.eq(reduce(or_, chosen))
            codes.append(code)
        return enables, codes
