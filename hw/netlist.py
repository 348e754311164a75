"""Word-level netlists: for circuits of so many cells that Amaranth would take minutes.

A :class:`Netlist` is adders, gates, registers and wires between them. It becomes Amaranth
(:meth:`Netlist.build`: for simulation and proofs) or, where a design is emitted with a
:class:`Library` as its platform, a module of RTLIL of its own (:meth:`Netlist.to_rtlil`), which is
many times faster and means the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Mux, Signal

__all__ = ["Library", "Netlist", "Word"]


@dataclass(frozen=True)
class Word:
    """Bits of nets, the least significant first, and whether the last one is a sign.

    ``parts`` are ``(net, start, width)``; net None is the constant ``start``.
    """

    parts: tuple[tuple[int | None, int, int], ...]
    signed: bool

    @classmethod
    def constant(cls, value: int, width: int, *, signed: bool) -> "Word":
        """``value`` in ``width`` bits."""
        return cls(((None, value & ((1 << width) - 1), width),), signed)

    @classmethod
    def join(cls, words: Iterable["Word"]) -> "Word":
        """Words side by side, the first in the least significant bits."""
        return cls(tuple(part for word in words for part in word.parts), False)

    @cached_property
    def width(self) -> int:
        """Number of bits."""
        return sum(width for _, _, width in self.parts)

    def __getitem__(self, place: int) -> "Word":
        """One bit."""
        return self.slice(place, place + 1)

    @property
    def is_constant(self) -> bool:
        """Does it hold no bit of a net?"""
        return all(net is None for net, _, _ in self.parts)

    def slice(self, low: int, high: int, *, signed: bool = False) -> "Word":
        """The bits from ``low`` up to but not including ``high``."""
        parts, at = [], 0
        for net, start, width in self.parts:
            first, last = max(low - at, 0), min(high - at, width)
            if first < last and net is None:
                parts.append((None, (start >> first) & ((1 << (last - first)) - 1), last - first))
            elif first < last:
                parts.append((net, start + first, last - first))
            at += width
        return Word(tuple(parts), signed)

    def extend(self, width: int) -> "Word":
        """At least ``width`` bits of the same value."""
        missing = width - self.width
        if missing <= 0:
            return self
        if self.signed:
            return Word(self.parts + self.slice(self.width - 1, self.width).parts * missing, True)
        return Word((*self.parts, (None, 0, missing)), False)

    def resize(self, width: int, *, signed: bool) -> "Word":
        """The same value in ``width`` bits, which must be enough."""
        return self.extend(width).slice(0, width, signed=signed)

    def shift(self, places: int) -> "Word":
        """``self << places``."""
        return Word(((None, 0, places), *self.parts), self.signed) if places else self

    def as_signed(self) -> "Word":
        """The same value as a signed word."""
        return self if self.signed else Word((*self.parts, (None, 0, 1)), True)


@dataclass(frozen=True)
class _Cell:
    """One operation; ``kind`` is the name of the RTLIL cell that does it."""

    kind: str
    net: int
    a: Word
    b: Word | None = None
    select: Word | None = None


@dataclass
class Netlist:
    """Cells, and registers that all have one enable. Net 0 is the input, ``inputs`` bits wide."""

    inputs: int
    widths: list[int] = field(init=False)
    cells: list[_Cell] = field(default_factory=list)
    output: Word = field(default=Word((), False), init=False)
    """What comes out; to be set."""

    def __post_init__(self):
        self.widths = [self.inputs]

    def input(self, start: int, width: int, *, signed: bool) -> Word:
        """Some bits of the input."""
        return Word(((0, start, width),), signed)

    def add(self, a: Word, b: Word, width: int, *, signed: bool) -> Word:
        """``a + b`` in ``width`` bits, which must be enough."""
        return self._cell("add", width, signed, *self._alike(a, b))

    def subtract(self, a: Word, b: Word, width: int, *, signed: bool) -> Word:
        """``a - b`` in ``width`` bits, which must be enough."""
        return self._cell("sub", width, signed, *self._alike(a, b))

    def negate(self, a: Word, width: int) -> Word:
        """``-a`` in ``width`` bits, which must be enough."""
        return self._cell("neg", width, True, a.as_signed())

    def not_below(self, a: Word, b: Word) -> Word:
        """``a >= b``."""
        return self._cell("ge", 1, False, *self._alike(a, b))

    def invert(self, a: Word) -> Word:
        """Not ``a``, one bit."""
        return self._cell("_NOT_", 1, False, a)

    def both(self, a: Word, b: Word) -> Word:
        """``a`` and ``b``, one bit each."""
        return self._cell("_AND_", 1, False, a, b)

    def either(self, a: Word, b: Word) -> Word:
        """``a`` or ``b``, one bit each."""
        return self._cell("_OR_", 1, False, a, b)

    def choose(self, select: Word, one: Word, other: Word) -> Word:
        """``one`` where ``select`` is high, else ``other``; they must have one shape."""
        return self._cell("mux", one.width, one.signed, other, one, select)

    def register(self, a: Word) -> Word:
        """``a`` one enabled clock edge later; without a reset."""
        return self._cell("dffe", a.width, a.signed, a)

    @staticmethod
    def _alike(a, b):
        return (a.as_signed(), b.as_signed()) if a.signed != b.signed else (a, b)

    def _cell(self, kind, width, signed, *words):
        net = len(self.widths)
        self.widths.append(width)
        self.cells.append(_Cell(kind, net, *words))
        return Word(((net, 0, width),), signed)

    def place(self, m, platform, *, enable, i, o) -> None:
        """Put the circuit between the values ``i`` and ``o``, as ``platform`` wants it."""
        if isinstance(platform, Library):
            m.submodules.cells = Instance(
                platform.add(self), i_clk=ClockSignal(), i_enable=enable, i_i=i, o_o=o
            )
        else:
            m.d.comb += o.eq(self.build(m, enable, i))

    def build(self, m, enable, i):
        """The circuit as Amaranth statements in ``m``; the value of :attr:`output`."""
        nets = [i, *(Signal(width, name=f"net_{n}", reset_less=True)
                     for n, width in enumerate(self.widths[1:], start=1))]  # fmt: skip

        def value(word):
            parts = [
                Const(start, width) if net is None
                else nets[net] if (start, width) == (0, self.widths[net])
                else nets[net][start : start + width]
                for net, start, width in word.parts
            ]  # fmt: skip
            whole = parts[0] if len(parts) == 1 else Cat(parts)
            return whole.as_signed() if word.signed else whole

        registers = []
        for cell in self.cells:
            a, net = value(cell.a), nets[cell.net]
            match cell.kind:
                case "add":
                    m.d.comb += net.eq(a + value(cell.b))
                case "sub":
                    m.d.comb += net.eq(a - value(cell.b))
                case "neg":
                    m.d.comb += net.eq(-a)
                case "ge":
                    m.d.comb += net.eq(a >= value(cell.b))
                case "mux":
                    m.d.comb += net.eq(Mux(value(cell.select), value(cell.b), a))
                case "_NOT_":
                    m.d.comb += net.eq(~a)
                case "_AND_":
                    m.d.comb += net.eq(a & value(cell.b))
                case "_OR_":
                    m.d.comb += net.eq(a | value(cell.b))
                case "dffe":
                    registers.append(net.eq(a))
        with m.If(enable):
            m.d.sync += registers
        return value(self.output)

    def to_rtlil(self, name: str) -> str:
        """The circuit as a module with ports ``clk``, ``enable``, ``i`` and ``o``."""
        names = ["\\i"]
        names += [f"\\held_{c.net}" if c.kind == "dffe" else f"$y{c.net}" for c in self.cells]

        def spec(word):
            parts = [
                f"{width}'{start:0{width}b}" if net is None
                else names[net] if (start, width) == (0, self.widths[net])
                else f"{names[net]} [{start + width - 1}:{start}]"
                for net, start, width in reversed(word.parts)
            ]  # fmt: skip
            return parts[0] if len(parts) == 1 else f"{{ {' '.join(parts)} }}"

        lines = [
            f"module \\{name}",
            "wire input 1 \\clk",
            "wire input 2 \\enable",
            f"wire width {self.widths[0]} input 3 \\i",
            f"wire width {self.output.width} output 4 \\o",
        ]
        for net, width in enumerate(self.widths[1:], start=1):
            lines.append(f"wire width {width} {names[net]}")
        for cell in self.cells:
            lines.append(f"cell ${cell.kind} $c{cell.net}")
            width = self.widths[cell.net]
            if cell.kind == "dffe":
                lines += [
                    f"parameter \\WIDTH {width}",
                    "parameter \\CLK_POLARITY 1",
                    "parameter \\EN_POLARITY 1",
                    "connect \\CLK \\clk",
                    "connect \\EN \\enable",
                    f"connect \\D {spec(cell.a)}",
                    f"connect \\Q {names[cell.net]}",
                    "end",
                ]
                continue
            if cell.kind == "mux":
                lines += [f"parameter \\WIDTH {width}", f"connect \\S {spec(cell.select)}"]
            elif cell.kind.islower():
                lines.append(f"parameter \\Y_WIDTH {width}")
            for port, word in (("A", cell.a), ("B", cell.b)):
                if word is None:
                    continue
                lines.append(f"connect \\{port} {spec(word)}")
                if cell.kind.islower() and cell.kind != "mux":
                    lines += [
                        f"parameter \\{port}_SIGNED {word.signed:d}",
                        f"parameter \\{port}_WIDTH {word.width}",
                    ]
            lines += [f"connect \\Y {names[cell.net]}", "end"]
        lines += [f"connect \\o {spec(self.output)}", "end", ""]
        return "\n".join(lines)


class Library:
    """The platform with which a whole design is emitted: it collects what netlists become.

    Equal netlists share a module.
    """

    def __init__(self):
        self._names = {}

    def add(self, netlist: Netlist) -> str:
        """The name of the module for ``netlist``."""
        text = netlist.to_rtlil("")
        return self._names.setdefault(text, f"cells_{len(self._names)}")

    def to_rtlil(self) -> str:
        """All modules."""
        return "".join(
            text.replace("module \\", f"module \\{name}", 1) for text, name in self._names.items()
        )
