"""Memories and products of many shapes in one design, and its netlists."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Cat, Module, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sqwire.boards import yosys
from sqwire.boards.catalog import find_board
from sqwire.compiler.tools import Workshop
from sqwire.hw.axis import Port
from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range

ORDER, WRITE, READ, DATA, BYTES = 0, 1, 3, 5, 5
"""Bytes of a beat: what to do (bit 0: write, bits 4 up: which parts), two addresses, data."""


@dataclass(frozen=True)
class Ram:
    """``depth`` words of ``width`` bits, in ``parts`` that are written each for itself.

    ``rom`` is never written. ``loose``: what is read while it is written may be anything, so
    that is not done.
    """

    depth: int
    width: int
    style: str = "block"
    parts: int = 1
    rom: bool = False
    loose: bool = False

    @property
    def bits(self):
        """Bits of an address; the first words of a memory of an odd depth are left out."""
        return self.depth.bit_length() - 1

    @property
    def base(self):
        return self.depth - (1 << self.bits)

    @property
    def init(self):
        low, high = 1, 1 << min(self.width, 62)
        return [int(x) for x in np.random.default_rng(self.depth).integers(low, high, self.depth)]

    def create(self, m, name, step, i, o):
        attrs = {"ram_style": self.style} | ({"no_rw_check": 1} if self.loose else {})
        memory = Memory(shape=self.width, depth=self.depth, init=self.init, attrs=attrs)
        m.submodules[name] = memory
        read = memory.read_port()
        m.d.comb += [
            read.addr.eq(i[8 * READ :][: self.bits] + self.base),
            read.en.eq(step),
            o.eq(read.data),
        ]
        if self.rom:
            return
        write = memory.write_port(granularity=self.width // self.parts)
        go = i[8 * ORDER] & step
        if self.loose:
            go &= write.addr != read.addr
        m.d.comb += [
            write.addr.eq(i[8 * WRITE :][: self.bits] + self.base),
            write.data.eq(i[8 * DATA :]),
            write.en.eq(i[8 * ORDER + 4 :][: self.parts] & go.replicate(self.parts)),
        ]

    def compute(self, beats):
        held, part = self.init, self.width // self.parts
        mask = (1 << part) - 1
        for order, write, read, data in beats:
            write, read = (self.base + at % (1 << self.bits) for at in (write, read))
            yield held[read]
            if order & 1 and not self.rom and not (self.loose and write == read):
                for k in range(self.parts):
                    if order >> 4 + k & 1:
                        own = mask << k * part
                        held[write] = held[write] & ~own | data & own


@dataclass(frozen=True)
class Product:
    """The product of the two addresses, as integers of these bits."""

    left: int
    right: int
    signed: bool

    def create(self, m, name, step, i, o):
        shape = signed if self.signed else unsigned
        a, b = Signal(shape(self.left)), Signal(shape(self.right))
        held = Signal.like(a * b, name=name)
        m.d.comb += [a.eq(i[8 * WRITE :]), b.eq(i[8 * READ :]), o.eq(held)]
        with m.If(step):
            m.d.sync += held.eq(a * b)

    def compute(self, beats):
        for _, write, read, _ in beats:
            a, b = write % (1 << self.left), read % (1 << self.right)
            if self.signed:
                a, b = (
                    a - (a >> self.left - 1 << self.left),
                    b - (b >> self.right - 1 << self.right),
                )
            yield a * b % (1 << 8 * BYTES)


class Mix(wiring.Component):
    """A beat in, what each of ``parts`` makes of it out, a cycle later."""

    def __init__(self, parts):
        self.parts = tuple(parts)
        self.port_in = Port(Beat(Range.unsigned(8), DATA + BYTES), 1)
        self.port_out = Port(Beat(Range.unsigned(8), BYTES * len(self.parts)), 1)
        sides = (("s_axis", self.port_in, In, Out), ("m_axis", self.port_out, Out, In))
        members = {"error": Out(1)}
        for name, port, there, back in sides:
            members |= {
                f"{name}_tdata": there(port.bits), f"{name}_tvalid": there(1),
                f"{name}_tlast": there(1), f"{name}_tready": back(1),
            }  # fmt: skip
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        step = Signal()
        m.d.comb += [
            self.s_axis_tready.eq(~self.m_axis_tvalid | self.m_axis_tready),
            step.eq(self.s_axis_tready & self.s_axis_tvalid),
            self.m_axis_tlast.eq(1),
        ]
        with m.If(self.s_axis_tready):
            m.d.sync += self.m_axis_tvalid.eq(self.s_axis_tvalid)
        outputs = [Signal(8 * BYTES, name=f"o{k}") for k in range(len(self.parts))]
        m.d.comb += self.m_axis_tdata.eq(Cat(outputs))
        for k, (part, o) in enumerate(zip(self.parts, outputs, strict=True)):
            part.create(m, f"part{k}", step, self.s_axis_tdata, o)
        return m

    def compute(self, x):
        """What comes for the bytes ``x`` (beats, 1, bytes), from a reset on."""
        words = x[:, 0].astype(object) @ np.array([1 << 8 * k for k in range(x.shape[2])], object)
        beats = [
            (w & 255, w >> 8 * WRITE & 0xFFFF, w >> 8 * READ & 0xFFFF, w >> 8 * DATA) for w in words
        ]
        columns = [list(part.compute(beats)) for part in self.parts]
        return np.array(
            [
                [v >> 8 * k & 255 for v in row for k in range(BYTES)]
                for row in zip(*columns, strict=True)
            ]
        )[:, None, :]


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """Where the builds of this session keep Verilator's compiled library."""
    return tmp_path_factory.mktemp("library")


@pytest.fixture(scope="session")
def mapped(tmp_path_factory, library):
    """A design in cells of a device: as much of a build as the bench looks at."""

    def make(design, board):
        folder = tmp_path_factory.mktemp(board)
        text = str(rtlil.convert(design, name="sqwire_top", emit_src=False))
        (folder / "design.il").write_text(text)
        cells = yosys.netlist(
            Workshop(folder, folder, lambda _: None), "sqwire_top", find_board(board)
        )
        (folder / "simulation").mkdir()
        (folder / "simulation" / "library").symlink_to(library)
        axes = {
            name: [{"range": [0, 255], "channels": port.beat.lanes, "beats": port.frame}]
            for name, port in (("s_axis", design.port_in), ("m_axis", design.port_out))
        }
        return SimpleNamespace(path=folder, files={"netlist.v": ""}, planned=axes, cells=cells)

    return make


_PRODUCTS = (
    Product(16, 16, signed=True),
    Product(16, 16, signed=False),
    Product(9, 7, signed=True),
    Product(8, 8, signed=False),
)


@pytest.fixture(scope="session")
def shapes():
    """Memories of the widths that a block RAM has, ROMs, parts, and products."""
    return Mix(
        [
            *(Ram(16384, 1), Ram(4096, 4), Ram(2048, 9), Ram(1024, 18), Ram(512, 36)),
            *(Ram(700, 13, loose=True), Ram(512, 36, loose=True), Ram(512, 36, parts=4)),
            *(Ram(1024, 18, parts=2, loose=True), Ram(8192, 2, rom=True), Ram(900, 18, rom=True)),
            *(Ram(512, 36, rom=True), Ram(16, 5, style="auto"), *_PRODUCTS),
        ]
    )


@pytest.fixture(scope="session")
def small_shapes():
    """The same for small block RAMs."""
    return Mix(
        [
            *(Ram(2048, 2), Ram(1024, 4), Ram(512, 8), Ram(256, 16), Ram(300, 20)),
            *(Ram(256, 16, parts=2, loose=True), Ram(512, 8, rom=True), Ram(16, 5, style="auto")),
            *_PRODUCTS,
        ]
    )
