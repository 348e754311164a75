"""The link in a simulated board: how full the line is, what a bad line does, how it recovers.

    python bench/link.py [--messages 10000] [--only recovery ...] [--out results/link.json]

Prints the throughput for 1 kB frames, and for frames in parts, beside the aim of 90 % of the
line's rate, the speed of the simulation, for each rate of faults how many messages were sent, what
happened to them and whether every answer was right, and how long after a fault of each kind the
next good answer takes.
What is not measured again stays in the file; a table stands beside it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from recovery import recovery

from sqwire.boards import pll
from sqwire.boards.device import Device
from sqwire.boards.link.faults import Faults, FaultyLine
from sqwire.boards.link.link import Link
from sqwire.boards.link.payloads import Format, Identity
from sqwire.boards.ports import open_port
from sqwire.boards.top import Top
from sqwire.compiler.emit import rtlil_to_verilog
from sqwire.simulated import SimulatedBoard, Workplace

RATES = (0.0, 1e-5, 1e-4, 1e-3, 1e-2)
CREDITS = (2, 4)
PARTS = ("throughput", "parts", "faults", "recovery")
# Height, width, channels, bytes a part, credits, how many frames, whether the results are as large.
PARTED = (
    (128, 128, 1, 254, 8, 8, True),
    (128, 128, 1, 508, 4, 8, True),
    (128, 128, 1, 508, 8, 8, True),
    (128, 128, 1, 1016, 4, 8, True),
    (128, 128, 1, 508, 8, 8, False),
    (375, 450, 2, 508, 8, 2, True),
    (375, 450, 2, 508, 8, 2, False),
)


class Echo(wiring.Component):
    """A network that gives back what it gets."""

    def __init__(self, frame):
        self.frame = frame
        bits = 8 * frame.lane_bytes * frame.channels
        side = {"tdata": bits, "tvalid": 1, "tlast": 1}
        members = {f"s_axis_{name}": In(width) for name, width in side.items()}
        members |= {f"m_axis_{name}": Out(width) for name, width in side.items()}
        super().__init__(
            members | {"s_axis_tready": Out(1), "m_axis_tready": In(1), "error": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = SyncFIFO(width=len(self.s_axis_tdata), depth=4)
        m.d.comb += [
            fifo.w_data.eq(self.s_axis_tdata),
            fifo.w_en.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(fifo.w_rdy),
            self.m_axis_tdata.eq(fifo.r_data),
            self.m_axis_tvalid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.m_axis_tready),
        ]
        return m


class Last(Echo):
    """A network that gives back the last position of each frame."""

    def elaborate(self, platform):
        m = Module()
        m.submodules.echo = echo = Echo(self.frame)
        names = ("s_axis_tdata", "s_axis_tlast", "m_axis_tready")
        m.d.comb += [getattr(echo, name).eq(getattr(self, name)) for name in names]
        m.d.comb += [
            echo.s_axis_tvalid.eq(self.s_axis_tvalid & self.s_axis_tlast),
            self.s_axis_tready.eq(echo.s_axis_tready | ~self.s_axis_tlast),
            self.m_axis_tdata.eq(echo.m_axis_tdata),
            self.m_axis_tvalid.eq(echo.m_axis_tvalid),
        ]
        return m


def board(frame, folder, *, clock_hz, credits, timeout_bits, output=None):
    """A simulated iCEBreaker with an echo, or with what gives back the last position."""
    identity = Identity(credits, clock_hz, 3_000_000, b"link    ", (frame,), (output or frame,))
    top = Top(Link(identity, timeout_bits), pll.ice40(12_000_000, clock_hz, pad=True))
    network = (Last if output else Echo)(frame)
    text = str(rtlil.convert(network, name="echo", emit_src=False))
    (folder / "board").mkdir(parents=True, exist_ok=True)
    network = rtlil_to_verilog(text, folder, name="echo")
    place = Workplace(folder / "board", folder.parent / "library")
    return SimulatedBoard.build(top, 12_000_000, "echo", [network], place)


def throughput(folder, credits):
    """The line with 1 kB frames, of board time."""
    return filled(folder, Format(32, 32, 1, 8, False), credits, 200)


def parts(folder):
    """The line with frames in parts, back as large or one position only."""
    rows = []
    for k, (*shape, part_bytes, credits, count, echo) in enumerate(PARTED):
        frame = Format(*shape, 8, False, part_bytes // shape[2])
        output = None if echo else Format(1, 1, shape[2], 8, False)
        row = filled(folder / str(k), frame, credits, count, output)
        rows.append({"shape": shape, "part_bytes": part_bytes, "credits": credits, **row})
        rows[-1]["result_bytes"] = (output or frame).frame_bytes(packed=False)
        print(json.dumps(rows[-1]), flush=True)
    return rows


def filled(folder, frame, credits, count, output=None):
    """How full the line is with so many frames, one behind the other."""
    options = {"clock_hz": 24_000_000, "credits": credits, "timeout_bits": 18, "output": output}
    made = board(frame, folder, **options)
    shape = (count, frame.height, frame.width, frame.channels)
    x = np.random.default_rng(0).integers(0, 256, shape)
    with made.run() as running:
        with Device(running.port, timeout_seconds=60) as device:
            y = x if output is None else x[:, -1:, -1:]
            assert np.array_equal(device.run(x), y)
            again = device.traffic.again
        report = running.stop()
    useful = x.size * 10 / report.line_seconds / 3e6
    return {
        "frames": len(x),
        "again": again,
        "line_used": round(report.host_bytes * 10 / report.line_seconds / 3e6, 4),
        "payload_share_of_line_rate": round(useful, 4),
        "seconds_per_frame": round(report.line_seconds / count, 4),
        "cycles_per_second": round(report.cycles_per_second),
    }


def faults(folder, messages):
    """Small frames on lines that damage bytes at each rate."""
    frame = Format(2, 3, 2, 3, True)
    made = board(frame, folder, clock_hz=18_000_000, credits=4, timeout_bits=12)
    rng, rows = np.random.default_rng(0), {}
    with made.run() as running:
        for rate in RATES:
            x = rng.integers(-4, 4, (messages, 2, 3, 2))
            line = FaultyLine(open_port(running.port, 3_000_000), Faults.all(rate), seed=1)
            started = time.monotonic()
            with Device(line, timeout_seconds=0.3, retries=1000) as device:
                wrong = int((device.run(x) != x).any(axis=(1, 2, 3)).sum())
                seconds = time.monotonic() - started
                rows[f"{rate:g}"] = {
                    "frames": messages,
                    "wrong": wrong,
                    "bytes_damaged": line.struck,
                    **vars(device.traffic),
                    "seconds": round(seconds, 1),
                }
            print(f"{rate:g}: {json.dumps(rows[f'{rate:g}'])}", flush=True)
    return rows


def table(result):
    """The measurements as Markdown."""
    lines = ["# The link, measured by `bench/link.py`", ""]
    if "throughput" in result:
        lines += [
            "1 kB frames at 3 Mbaud and 24 MHz, 200 of them (aim: 90 % of the line's rate).",
            "",
            "| frames unanswered at most | line in use | payload, of the line's rate |",
            "|---:|---:|---:|",
        ]
        for credits, row in result["throughput"].items():
            shares = [f"{row[k]:.1%}" for k in ("line_used", "payload_share_of_line_rate")]
            lines.append("| " + " | ".join([credits, *shares]) + " |")
        lines.append("")
    if "parts" in result:
        heads = ["frame", "bytes", "bytes a part", "parts ahead", "bytes of the result"]
        heads += ["line in use", "payload, of the line's rate", "seconds a frame"]
        lines += [
            "Frames in parts, on the same line: to the board, and from it where the result is as",
            "large; with 24 MHz, and a host that answers at once.",
            "",
            f"| {' | '.join(heads)} |",
            "|---|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for row in result["parts"]:
            height, width, channels = row["shape"]
            cells = [f"{height} x {width} x {channels}", f"{height * width * channels:,}"]
            cells += [f"{row[k]:,}" for k in ("part_bytes", "credits", "result_bytes")]
            cells += [f"{row[k]:.1%}" for k in ("line_used", "payload_share_of_line_rate")]
            lines.append("| " + " | ".join([*cells, f"{row['seconds_per_frame']:.3f}"]) + " |")
        lines.append("")
    if "faults" in result:
        names = ["frames", "bytes_damaged", "again", "timed_out", "stale", "complaints", "wrong"]
        heads = ["frames", "bytes damaged", "sent again", "timed out", "late answers"]
        heads += ["complaints", "wrong answers (aim: 0)"]
        lines += [
            "Frames of 6 bytes on a line that damages bytes (a quarter each flipped, lost,",
            "doubled, inserted), time-out of the host 0.3 s:",
            "",
            "| rate | " + " | ".join(heads) + " |",
            "|---|" + "---:|" * len(heads),
        ]
        for rate, row in result["faults"].items():
            lines.append("| " + " | ".join([rate, *(f"{row[k]:,}" for k in names)]) + " |")
        lines.append("")
    if "recovery" in result:
        own = result["recovery"]
        lines += [
            "Cycles from the end of the message behind a fault to the end of its answer;",
            f"{own['without_a_fault_cycles']:,} without a fault. On the line a byte takes",
            f"{own['cycles_a_byte']}, the time-out is {own['timeout_cycles']:,} (aim: within one).",
            "A fault at each byte of a message, the next message right behind it:",
            "",
            "| fault | faults | median | worst | worst, in time-outs |",
            "|---|---:|---:|---:|---:|",
        ]
        for kind, row in own["next_answer"].items():
            counts = [f"{row[k]:,}" for k in ("faults", "median_cycles", "worst_cycles")]
            lines.append("| " + " | ".join([kind, *counts, f"{row['worst_timeouts']}"]) + " |")
        silent = own["cut_and_silent"]
        beyond = silent["worst_cycles_beyond_the_timeout"]
        lines += [
            "",
            f"Cut at each of {silent['faults']} bytes, with nothing behind: the complaint has come",
            f"whole one time-out and {beyond:,} cycles behind the last byte at the latest.",
            "",
        ]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--messages", type=int, default=10_000, help="frames for each rate")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--only", nargs="*", default=PARTS, choices=PARTS, help="what to measure")
    arguments = parser.parse_args()
    known = arguments.out is not None and arguments.out.is_file()
    result = json.loads(arguments.out.read_text()) if known else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "throughput" in arguments.only:
            result["throughput"] = {
                str(credits): throughput(folder / f"wide{credits}", credits) for credits in CREDITS
            }
            print(json.dumps(result["throughput"]), flush=True)
        if "parts" in arguments.only:
            result["parts"] = parts(folder / "parts")
        if "faults" in arguments.only:
            result["faults"] = faults(folder / "small", arguments.messages)
        if "recovery" in arguments.only:
            result["recovery"] = recovery(Echo)
            print(json.dumps(result["recovery"]), flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")
        arguments.out.with_suffix(".md").write_text(table(result))


if __name__ == "__main__":
    main()
