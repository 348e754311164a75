"""Takes finished accumulators from the lanes, in the order of channels, and makes codes of them."""

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .memory import pipe, ram, tail
from .rom import pack, rom

__all__ = ["Collect"]


class Collect(wiring.Component):
    """One beat of channels a cycle, from the position that was finished first.

    Members
    -------
    done : ``In(1)``
        A position is done: two cycles later its accumulators can be shown.
    drop : ``In(1)``
        This position is not put out; it only says from where accumulators go on.
    freed : ``Out(1)``
        The last accumulators of a position are being shown, its part of the memory is free.
    show_row, show_buffer, show : ``Out``
        What the lanes are to show.
    shown : ``In``
        What they show, a cycle later.
    o : ``Out(stream)``
        Beats of channels.
    """

    def __init__(self, spec):
        self.spec = spec
        program = spec.program
        super().__init__(
            {
                "done": In(1),
                "drop": In(1),
                "freed": Out(1),
                "show_row": Out(program.row_bits),
                "show_buffer": Out(spec.buffer_bits),
                "show": Out(program.layout.lanes),
                "shown": In(spec.acc_bits).array(program.layout.lanes * spec.done_parts),
                "o": Out(spec.outputs[0].signature),
            }
        )

    def elaborate(self, platform):
        m = Module()
        spec, layout = self.spec, self.spec.program.layout
        beats = spec.channel_beats

        # Cycle 0: issue a beat, if it will find a place in the queue at the end.
        # Both count from -1, so that the sign tells whether there is any.
        waiting = Signal(range(-1, spec.buffers), init=-1)
        places = Signal(range(-1, spec.queue_depth), init=spec.queue_depth - 1)
        beat, buffer = Signal(range(beats)), Signal(spec.buffer_bits)
        issue, last, taken = Signal(), Signal(), Signal()
        m.d.comb += [
            issue.eq((waiting >= 0) & (places >= 0)),
            last.eq(beat == beats - 1),
            self.freed.eq(issue & last),
            taken.eq(self.o.valid & self.o.ready),
        ]
        real = Signal()
        m.d.comb += real.eq(issue & ~self.drop)
        m.d.sync += [
            waiting.eq(waiting + self.done - self.freed),
            places.eq(places + taken - real),
        ]
        with m.If(issue):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))
        with m.If(self.freed):
            m.d.sync += buffer.eq(buffer + 1)

        place, row = self._place(m, beat, issue, last)
        # Cycle 1: which lane has each channel. Cycle 2: the lanes show it.
        chosen = self._choose(m, beat, place, pipe(m, issue, 1, "issue"))
        m.d.sync += [
            self.show.eq(Cat(chosen)),
            self.show_row.eq(pipe(m, row, 1, "row")),
            self.show_buffer.eq(pipe(m, buffer, 1, "buffer")),
        ]

        # Cycle 3: all others show 0.
        sums = []
        for element in range(layout.lanes_out):
            parts = []
            for part in range(layout.parts):
                words = layout.group * spec.done_parts
                first = (part * layout.lanes_out + element) * words
                own = [self.shown[first + k] for k in range(words)]
                either = Signal(spec.acc_bits, name=f"either_{element}_{part}", reset_less=True)
                m.d.sync += either.eq(_either(own))
                parts.append(either)
            level = 0
            while len(parts) > 1:
                level += 1
                pairs = []
                for k in range(0, len(parts), 2):
                    total = Signal(
                        spec.acc_bits, name=f"sum_{element}_{level}_{k // 2}", reset_less=True
                    )
                    m.d.sync += total.eq(
                        parts[k] + parts[k + 1] if k + 1 < len(parts) else parts[k]
                    )
                    pairs.append(total)
                parts = pairs
            sums.append(parts[0])
        valid = pipe(m, issue, spec.difference_cycle, "valid", reset_less=False)
        index = pipe(m, beat, spec.difference_cycle - 2, "index")
        codes = self._codes(m, sums, valid, index)
        valid = pipe(m, real, spec.collect_cycles - 1, "real", reset_less=False)
        word, some = tail(m, spec.queue_store, Cat(codes), valid, taken)
        m.d.comb += [self.o.payload.as_value().eq(word), self.o.valid.eq(some)]
        return m

    def _place(self, m, beat, issue, last):
        """Place in its group and row of a channel where lanes take them in turn."""
        group = self.spec.program.layout.group
        bits = (group - 1).bit_length()
        if group == 1 << bits:
            return beat[:bits], beat[bits:]
        place, row = Signal(bits), Signal(max(self.spec.program.row_bits, 1))
        full = place == group - 1
        with m.If(issue):
            m.d.sync += [
                place.eq(Mux(last | full, 0, place + 1)),
                row.eq(Mux(last, 0, row + full)),
            ]
        return place, row

    def _choose(self, m, beat, place, valid):
        """For each lane, one cycle after ``beat``: does it have a channel of that beat."""
        spec, layout = self.spec, self.spec.program.layout
        bits = (layout.group - 1).bit_length()
        if not bits:
            return [valid] * layout.lanes
        within = layout.lane - layout.group_of * layout.group
        columns = within.reshape(layout.parts, -1, layout.lanes_out).swapaxes(1, 2)
        columns = columns.reshape(-1, spec.channel_beats)
        if (columns == np.arange(spec.channel_beats) % layout.group).all():
            low = Signal(bits)
            m.d.sync += low.eq(place)
            choices = [low] * len(columns)
        else:
            words = pack(columns, [bits] * len(columns))
            word = rom(m, spec.lane_rom, words, beat)
            choices = [word[k * bits : (k + 1) * bits] for k in range(len(columns))]
        chosen = []
        for lane in range(layout.lanes):
            group, place = divmod(lane, layout.group)
            chosen.append(valid & (choices[group] == place))
        return chosen

    def _codes(self, m, sums, valid, index):
        """Differences from the position before, requantised."""
        spec = self.spec
        width = spec.acc_bits
        now = pipe(m, index, 2, "index_now")
        # A block RAM is slow: its word goes through two registers. No index comes twice meanwhile.
        late = 2 if spec.before_store.kind == "block" else 0
        before = ram(
            m, spec.before_store, "before", write=now, data=Cat(sums), enable=valid,
            read=index if late else now,
        )  # fmt: skip
        before = pipe(m, before, late, "before_late")
        channel = pipe(m, now, 1, "channel")
        shape = spec.outputs[0].range.shape
        codes = []
        for element, total in enumerate(sums):
            acc = Signal(spec.sum_range.shape, name=f"acc_{element}", reset_less=True)
            m.d.sync += acc.eq((total - before[element * width : (element + 1) * width])[:width])
            circuit = spec.requantise[element]
            code = Signal(shape, name=f"code_{element}")  # that of another may be wider
            m.d.comb += code.eq(circuit.build(m, acc, channel, shape, f"requantise_{element}"))
            wait = spec.requantise_cycles - circuit.latency_cycles
            codes.append(pipe(m, code, wait, f"late_{element}"))
        return codes


def _either(words):
    """The OR of ``words``."""
    while len(words) > 1:
        words = [
            words[k] | words[k + 1] if k + 1 < len(words) else words[k]
            for k in range(0, len(words), 2)
        ]
    return words[0]
