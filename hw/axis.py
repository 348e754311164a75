"""AXI4-Stream at the edge of a design: byte-aligned fields, frames marked by ``tlast``."""

from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .beat import Beat

__all__ = ["AxisIn", "AxisOut", "Port"]


@dataclass(frozen=True)
class Port:
    """Byte layout of one AXI4-Stream port that carries ``beat``, ``frame`` of them a frame.

    A transfer holds one position, or the next ``beat.lanes`` of its channels where these are fewer.
    Lane ``l`` (channel, innermost) sits in the bytes
    ``[l * lane_bytes, (l + 1) * lane_bytes)`` of ``tdata``, least significant byte first, two's
    complement and sign-extended (zero-extended where the range has no negative values).
    Positions follow in raster order: rows top to bottom, each left to right.
    ``tlast`` is high on the last position of a frame.

    Raises
    ------
    ValueError
        If ``frame`` is below one.
    """

    beat: Beat
    frame: int

    def __post_init__(self):
        if self.frame < 1:
            raise ValueError(f"Port: frame must be at least 1, not {self.frame}")

    @property
    def lane_bytes(self) -> int:
        """Bytes that one lane takes in ``tdata``."""
        return (self.beat.range.bits + 7) // 8

    @property
    def bits(self) -> int:
        """Width of ``tdata``."""
        return 8 * self.lane_bytes * self.beat.lanes

    def beats(self, codes):
        """Codes ``(frames, height, width, channels)`` as ``(frames, beats, lanes)``."""
        return codes.reshape(len(codes), self.frame, self.beat.lanes)

    def pack(self, values) -> int:
        """The ``tdata`` word that carries ``values`` (one a lane)."""
        return int.from_bytes(
            b"".join(
                int(v).to_bytes(self.lane_bytes, "little", signed=self.beat.range.lo < 0)
                for v in values
            ),
            "little",
        )

    def unpack(self, word: int) -> list[int]:
        """The integers in a ``tdata`` word; the inverse of :meth:`pack`."""
        raw = word.to_bytes(self.bits // 8, "little")
        step = self.lane_bytes
        return [
            int.from_bytes(raw[at : at + step], "little", signed=self.beat.range.lo < 0)
            for at in range(0, len(raw), step)
        ]


class AxisIn(wiring.Component):
    """AXI4-Stream to beats, with every frame brought to the length of ``port.frame``.

    A frame whose ``tlast`` comes early is completed with transfers of zeros (of ``range.lo`` where
    the range does not hold zero); what comes behind the last position of one that is too long is
    dropped, up to its ``tlast``. So each input frame gives one frame at ``o``, and the next one
    starts where it should.

    A lane is the low ``range.bits`` bits of its field: a value is taken modulo ``2**range.bits``
    and one that is then still outside the range goes on unchanged. What a network makes of
    such a value is undefined; frame lengths are not affected.

    Timing: no latency, one transfer a cycle. ``tready`` is low while a short frame is completed
    and while ``o`` is not ready, of which it is a combinational function.

    Members
    -------
    tdata, tvalid, tready, tlast
        The port, see :class:`Port`. ``tkeep`` and ``tstrb`` do not exist: all bytes are valid.
    o : ``Out(stream)``
        Beats.
    error : ``Out(1)``
        One cycle high for each frame of the wrong length, in the cycle after the transfer that
        shows it: the early ``tlast``, or the last position without one.
    """

    def __init__(self, port: Port):
        self.port = port
        super().__init__(
            {
                "tdata": In(port.bits),
                "tvalid": In(1),
                "tready": Out(1),
                "tlast": In(1),
                "o": Out(port.beat.signature),
                "error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        beat, frame, field_bits = self.port.beat, self.port.frame, 8 * self.port.lane_bytes
        filling = Signal()  # a short frame is being completed
        dropping = Signal()  # the surplus of a long frame is passing
        position = Signal(range(frame))
        last, step = Signal(), Signal()
        m.d.comb += [
            last.eq(position == frame - 1),
            self.o.valid.eq(~dropping & (filling | self.tvalid)),
            self.tready.eq(dropping | (~filling & self.o.ready)),
            step.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += self.error.eq(step & ~filling & (last != self.tlast))
        with m.If(step):
            m.d.sync += [
                position.eq(Mux(last, 0, position + 1)),
                filling.eq(~last & (filling | self.tlast)),
                dropping.eq(last & ~filling & ~self.tlast),
            ]
        with m.Elif(self.tvalid & self.tlast):
            m.d.sync += dropping.eq(0)

        fill = 0 if 0 in beat.range else beat.range.lo
        for lane in range(beat.lanes):
            code = self.tdata[lane * field_bits :][: beat.range.bits]
            # A frame of one transfer cannot end early.
            m.d.comb += self.o.payload[lane].eq(Mux(filling, fill, code) if frame > 1 else code)
        return m


class AxisOut(wiring.Component):
    """Beats to AXI4-Stream: fields widened to bytes, ``tlast`` on the last of ``port.frame``.

    Timing: no latency, one transfer a cycle; ``i.ready`` is ``tready``.

    Members
    -------
    i : ``In(stream)``
        Beats.
    tdata, tvalid, tready, tlast
        The port, see :class:`Port`.
    """

    def __init__(self, port: Port):
        self.port = port
        super().__init__(
            {
                "i": In(port.beat.signature),
                "tdata": Out(port.bits),
                "tvalid": Out(1),
                "tready": In(1),
                "tlast": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        frame, field_bits = self.port.frame, 8 * self.port.lane_bytes
        position = Signal(range(frame))
        m.d.comb += [
            self.tvalid.eq(self.i.valid),
            self.i.ready.eq(self.tready),
            self.tlast.eq(position == frame - 1),
        ]
        with m.If(self.tvalid & self.tready):
            m.d.sync += position.eq(Mux(self.tlast, 0, position + 1))
        for lane in range(self.port.beat.lanes):
            # Assignment extends the sign where the lane is signed.
            m.d.comb += self.tdata[lane * field_bits :][:field_bits].eq(self.i.payload[lane])
        return m
