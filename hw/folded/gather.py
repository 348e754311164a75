"""Adds the parts that lanes of a split program have of each output, and makes codes of them."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .memory import pipe, tail
from .rom import pack, rom

__all__ = ["Gather"]


class Gather(wiring.Component):
    """One output a cycle, as soon as all lanes that have a part of it have summed that.

    Members
    -------
    some : ``In``
        By lane: there is a part.
    part : ``In``
        By lane: the part.
    taken : ``Out``
        By lane: the part is taken.
    o : ``Out(stream)``
        Beats of one channel.
    """

    def __init__(self, spec):
        self.spec = spec
        lanes = spec.program.layout.lanes
        super().__init__(
            {
                "some": In(lanes),
                "part": In(spec.acc_bits).array(lanes),
                "taken": Out(lanes),
                "o": Out(spec.outputs[0].signature),
            }
        )

    def elaborate(self, platform):
        m = Module()
        spec, rows = self.spec, self.spec.channel_beats
        # Cycle 0: take the parts of an output, if it will find a place in the queue at the end.
        row, issue, sent = Signal(range(rows)), Signal(), Signal()
        places = Signal(range(-1, spec.queue_depth), init=spec.queue_depth - 1)
        shown, known = self._shown(m, row, issue)
        m.d.comb += [
            issue.eq((self.some | ~shown).all() & (places >= 0) & known),
            self.taken.eq(Mux(issue, shown, 0)),
            sent.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += places.eq(places + sent - issue)
        with m.If(issue):
            m.d.sync += row.eq(Mux(row == rows - 1, 0, row + 1))

        # Cycle 1: they are in registers; in others than those that have one there is rubbish.
        late = pipe(m, shown, 1, "shown") if not isinstance(shown, Const) else shown
        parts = []
        for lane, part in enumerate(self.part):
            held = pipe(m, part, 1, f"part_{lane}")
            parts.append(held if isinstance(shown, Const) else Mux(late[lane], held, 0))
        level = 0
        while len(parts) > 1:
            level += 1
            pairs = []
            for k in range(0, len(parts), 2):
                total = Signal(spec.acc_bits, name=f"sum_{level}_{k // 2}", reset_less=True)
                m.d.sync += total.eq(parts[k] + parts[k + 1] if k + 1 < len(parts) else parts[k])
                pairs.append(total)
            parts = pairs
        acc = Signal(spec.sum_range.shape, name="acc")
        m.d.comb += acc.eq(parts[0])
        channel = pipe(m, row, spec.difference_cycle + 1, "channel")
        (circuit,) = spec.requantise
        shape = spec.outputs[0].range.shape
        code = circuit.build(m, acc, channel, shape, "requantise_0")
        valid = pipe(m, issue, spec.collect_cycles - 1, "valid", reset_less=False)
        word, some = tail(m, spec.queue_store, Cat(code)[: shape.width], valid, sent)
        m.d.comb += [self.o.payload.as_value().eq(word), self.o.valid.eq(some)]
        return m

    def _shown(self, m, row, issue):
        """Which lanes have a part of the next output, and whether that is known yet.

        It is looked up an output ahead.
        """
        spec, program = self.spec, self.spec.program
        store, lanes = spec.shown_store, program.layout.lanes
        if not store.width:
            return Const((1 << lanes) - 1, lanes), Const(1)
        if store.kind == "none":
            return Const(pack([*program.shown.astype(int).T], [1] * lanes)[0], lanes), Const(1)
        words = pack([*program.shown.astype(int).T], [1] * lanes)
        known, behind = Signal(), Signal.like(row)
        m.d.sync += known.eq(1)
        enable = issue | ~known
        word = rom(m, store, words, behind, enable)
        with m.If(enable):
            m.d.sync += behind.eq(Mux(behind == store.depth - 1, 0, behind + 1))
        return word, known
