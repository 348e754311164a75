"""The link without its line: bytes in, bytes out, a network beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sqwire.hw.ports import names

from .codec import NOBODY, Code, Kind
from .composer import Composer
from .counters import Counters
from .deframe import Deframer
from .gate import Gate
from .intake import Intake, index
from .order import Order
from .outlets import Outlets
from .payloads import Identity
from .stuffer import Stuffer

if TYPE_CHECKING:
    from .link import Link

__all__ = ["Core", "at_network", "ports"]

_RESET_CYCLES = 16
_GLOW_BITS = 20
"""An LED glows for a million cycles behind what lit it, and when the board wakes."""


def at_network(identity: Identity) -> dict[str, Any]:
    """Members of both components at the streams of the network."""
    members: dict[str, Any] = {}
    for k, frame in zip(names("", len(identity.inputs)), identity.inputs, strict=True):
        members |= {f"s_axis{k}_tdata": Out(8 * frame.lane_bytes * frame.channels)}
        members |= {f"s_axis{k}_tvalid": Out(1), f"s_axis{k}_tready": In(1)}
        members |= {f"s_axis{k}_tlast": Out(1)}
    for k, frame in zip(names("", len(identity.outputs)), identity.outputs, strict=True):
        members |= {f"m_axis{k}_tdata": In(8 * frame.lane_bytes * frame.channels)}
        members |= {f"m_axis{k}_tvalid": In(1), f"m_axis{k}_tready": Out(1)}
    return members


def ports(identity: Identity) -> dict[str, Any]:
    """Members of both components: those at the network and those for the eyes."""
    return at_network(identity) | {
        "network_error": In(1),
        "network_rst": Out(1),
        "active": Out(1),
        "error": Out(1),
    }


class Core(wiring.Component):  # type: ignore[misc]
    """Messages in, messages out; see docs/link.md for what each request does.

    Members
    -------
    valid, data, bad
        From the line, see :class:`sqwire.boards.link.uart.Receiver`.
    o : ``Out(stream)``
        Bytes for the line.
    s_axis_tdata, s_axis_tvalid, s_axis_tready, s_axis_tlast
        To the network's input; ``s_axis0_tdata``, ... where there are several.
    m_axis_tdata, m_axis_tvalid, m_axis_tready
        From the network's output, likewise.
    network_error, network_rst
        The network's ``error``; its reset, for 16 cycles behind a reset request.
    active, error : ``Out(1)``
        For LEDs: frames pass; something was damaged, refused or wrong.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        line = {"valid": In(1), "data": In(8), "bad": In(1), "o": Out(stream.Signature(8))}
        super().__init__({**line, **ports(link.identity)})

    def elaborate(self, platform: object) -> Any:
        m = Module()
        identity = self.link.identity
        credits = identity.credits
        clear = Signal()  # a reset request is being served
        restart = ResetInserter(clear)
        deframer, composer = Deframer(self.link.timeout_bits), Composer(identity)
        stuffer, counters = Stuffer(), Counters()
        cut = identity.frames_are_cut
        gate = Order(identity.inputs[0], credits) if cut else Gate(identity.inputs, credits)
        m.submodules.deframer = deframer
        m.submodules.composer = composer
        m.submodules.stuffer = stuffer
        m.submodules.counters = restart(counters)
        m.submodules.gate = restart(gate)
        m.d.comb += [
            *(getattr(deframer, pin).eq(getattr(self, pin)) for pin in ("valid", "data", "bad")),
        ]
        done = self._results(m, composer, restart, clear)
        wiring.connect(m, composer.o, stuffer.i)
        wiring.connect(m, stuffer.o, wiring.flipped(self.o))
        m.d.comb += [stuffer.close.eq(composer.close), composer.closed.eq(stuffer.closed)]

        # Does it bring codes, may it come in? All is settled long before the next byte comes.
        kinds = (Kind.PART, Kind.PART_PACKED) if cut else (Kind.INFER, Kind.INFER_PACKED)
        frame, bare, opened = Signal(), Signal(), Signal()
        m.d.sync += [
            frame.eq((deframer.kind == kinds[0]) | (deframer.kind == kinds[1])),
            bare.eq(deframer.length == 0),
            opened.eq(deframer.opened),
        ]
        m.d.comb += [
            gate.frame.eq(frame),
            gate.packed.eq(deframer.kind == kinds[1]),
            gate.sequence.eq(deframer.sequence),
            gate.length.eq(deframer.length),
            gate.opened.eq(opened),
            gate.valid.eq(deframer.payload_valid),
            gate.data.eq(deframer.payload),
            gate.end.eq(deframer.end),
            gate.good.eq(deframer.good),
        ]
        intakes = [Intake(frame, credits) for frame in identity.inputs]
        m.d.comb += gate.free.eq(intakes[0].fed if cut else done)
        for k, intake, own in zip(
            names("", len(intakes)), intakes, self._shares(m, gate), strict=True
        ):
            m.submodules[f"intake{k}"] = restart(intake)
            m.d.comb += [
                intake.open.eq(gate.open),
                intake.packed.eq(gate.packed),
                intake.store.eq(gate.store & own),
                intake.data.eq(deframer.payload),
                intake.commit.eq(gate.commit),
                intake.rollback.eq(deframer.end & ~gate.commit),
                intake.done.eq(done),
                *(
                    getattr(self, f"s_axis{k}_{pin}").eq(getattr(intake, pin))
                    for pin in ("tdata", "tvalid", "tlast")
                ),
                intake.tready.eq(getattr(self, f"s_axis{k}_tready")),
            ]
        if cut:
            m.d.comb += [
                composer.tell.eq(gate.tell),
                gate.told.eq(composer.told),
                composer.tell_sequence.eq(gate.current),
                composer.tell_state.eq(gate.state),
            ]

        # At the end of a message: ask for a reply, or complain.
        ask = Signal()
        damaged, refused, known, fits = (Signal() for _ in range(4))
        reset_request = Signal()
        reply = Signal(8)
        with m.Switch(deframer.kind):
            for kind in (Kind.IDENTIFY, Kind.STATUS, Kind.RESET):
                with m.Case(kind):
                    m.d.comb += [reply.eq(kind | 0x80), known.eq(1)]
            with m.Case(*kinds):
                m.d.comb += known.eq(1)
        m.d.comb += fits.eq(Mux(frame, gate.fits, bare))
        with m.If(deframer.end):
            m.d.comb += [
                damaged.eq(~deframer.good & ~deframer.timed_out),
                refused.eq(deframer.good & ~(known & fits)),
                reset_request.eq(deframer.good & fits & (deframer.kind == Kind.RESET)),
            ]
        trouble = damaged | refused | gate.busy | deframer.timed_out
        with m.If(composer.asked):
            m.d.sync += ask.eq(0)
        # A host that sends more than it gets answered loses answers, not frames.
        with m.If(deframer.end & (trouble | ~frame) & (~ask | reset_request)):
            code = Mux(refused, Mux(known, Code.LENGTH, Code.UNKNOWN), Code.BUSY)
            m.d.sync += [
                ask.eq(1),
                composer.ask_kind.eq(Mux(trouble, Kind.ERROR, reply)),
                composer.ask_sequence.eq(Mux(deframer.good, deframer.sequence, NOBODY)),
                composer.ask_code.eq(Mux(deframer.good, code, Code.DAMAGED)),
            ]
        m.d.comb += composer.ask.eq(ask)

        # Sequence numbers in the order of the frames, which is that of the results. Of frames in
        # parts as many may be in the ring as in the network.
        depth = max(credits, 2) << cut
        m.submodules.sequences = memory = Memory(shape=16, depth=depth, init=[])
        write, read = memory.write_port(), memory.read_port()
        newest, oldest = (Signal(range(depth)) for _ in range(2))
        unanswered = Signal(range(depth + 1))
        m.d.comb += [
            write.addr.eq(newest),
            write.data.eq(deframer.sequence),
            write.en.eq(gate.first),
            read.addr.eq(oldest),
            composer.sequence.eq(read.data),
        ]
        m.d.sync += [
            newest.eq(newest + gate.first),
            oldest.eq(oldest + done),
            unanswered.eq(unanswered + gate.first - done),
        ]

        resetting = Signal(range(_RESET_CYCLES + 1))
        m.d.sync += clear.eq(reset_request | (resetting > 1))
        m.d.comb += [
            composer.abort.eq(clear),
            self.network_rst.eq(clear),
        ]
        with m.If(reset_request):
            m.d.sync += resetting.eq(_RESET_CYCLES)
        with m.Elif(resetting != 0):
            m.d.sync += resetting.eq(resetting - 1)
        with m.If(clear):
            m.d.sync += [
                *(register.eq(0) for register in (newest, oldest, unanswered)),
            ]

        stalled = Cat(
            getattr(self, f"m_axis{k}_tvalid") & ~getattr(self, f"m_axis{k}_tready")
            for k in names("", len(identity.outputs))
        ).any()
        m.d.comb += [
            counters.frames.eq(done),
            counters.stall_cycles.eq(stalled & ~composer.telling),
            counters.damaged.eq(damaged),
            counters.refused.eq(refused),
            counters.busy.eq(gate.busy),
            counters.timed_out.eq(deframer.end & deframer.timed_out),
            counters.network_errors.eq(self.network_error),
            counters.most_frames.eq(unanswered),
            counters.most_reply_bytes.eq(stuffer.waiting),
            composer.counters.eq(counters.o),
        ]
        for lamp, lit in (
            (self.active, gate.commit | composer.result),
            (self.error, trouble | self.network_error),
        ):
            glow(m, lamp, lit)
        return m

    def _shares(self, m: Any, gate: Any) -> list[Any]:
        """For each input whether a byte of a frame is its own; of several whole frames follow each
        other."""
        inputs = self.link.identity.inputs
        if len(inputs) == 1:
            return [Const(1)]
        sizes = Array(
            Mux(gate.packed, frame.frame_bytes(packed=True), frame.frame_bytes(packed=False))
            for frame in inputs
        )
        number, last = index(len(inputs)), Signal()
        byte = index(max(frame.frame_bytes(packed=False) for frame in inputs))
        m.d.sync += last.eq(byte == sizes[number] - 1)  # settled before the byte comes
        with m.If(gate.open):
            m.d.sync += [number.eq(0), byte.eq(0)]
        with m.Elif(gate.store):
            m.d.sync += [number.eq(number + last), byte.eq(Mux(last, 0, byte + 1))]
        return [number == k for k in range(len(inputs))]

    def _results(self, m: Any, composer: Composer, restart: Any, clear: Signal) -> Any:
        """What comes from the network goes to the composer; when a result is out."""
        identity = self.link.identity
        # What comes out while the network is reset belongs to nobody.
        if not identity.is_cut:
            m.d.comb += [
                composer.message_bytes.eq(identity.outputs[0].message_bytes(packed=False)),
                composer.tdata.eq(self.m_axis_tdata),
                composer.tvalid.eq(self.m_axis_tvalid & ~clear),
                self.m_axis_tready.eq(composer.tready | clear),
            ]
            return composer.result
        outlets = Outlets(identity.outputs)
        m.submodules.outlets = restart(outlets)
        for k in names("", len(identity.outputs)):
            tdata, tvalid, tready = (f"m_axis{k}_{pin}" for pin in ("tdata", "tvalid", "tready"))
            m.d.comb += [
                getattr(outlets, tdata).eq(getattr(self, tdata)),
                getattr(outlets, tvalid).eq(getattr(self, tvalid) & ~clear),
                getattr(self, tready).eq(getattr(outlets, tready) | clear),
            ]
        m.d.comb += [
            composer.tdata.eq(outlets.tdata),
            composer.tvalid.eq(outlets.tvalid & ~clear),
            composer.message_bytes.eq(outlets.message_bytes),
            outlets.tready.eq(composer.tready),
            outlets.sent.eq(composer.result),
        ]
        return composer.result & outlets.last


def glow(m: Any, lamp: Signal, lit: Any) -> None:
    """Let ``lamp`` glow for a while behind ``lit``."""
    # Counts up and stops, so that it is only ever set to 0.
    count = Signal(_GLOW_BITS + 1, name=f"{lamp.name}_glow")
    m.d.comb += lamp.eq(~count[-1])
    with m.If(lit):
        m.d.sync += count.eq(0)
    with m.Elif(~count[-1]):
        m.d.sync += count.eq(count + 1)
