"""How lanes multiply codes by what their program says: with LUTs, multipliers, or shifts.

Each kind is a frozen description with ``value_bits`` (what a lane stores), ``latency_cycles``,
``encode`` (what is stored, for values (cycles, lanes)) and ``build``, which makes of the codes and
fields of all lanes, for each, a product and a carry for the adder behind it (None: no carry).
"""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal

from ..ranges import Range

__all__ = ["Digit", "Dsp", "Lut", "multiplier"]


# A hardware multiplier takes 18 bits, with a sign.
_FACTOR_BITS = 18


@dataclass(frozen=True)
class Lut:
    """Rows of AND gates and a tree of adders, a register behind each.

    The bits of the narrower operand select the other one, in pairs: ``(b0 + 2 * b1) * a`` is one
    adder.
    """

    code: Range
    value: Range

    @property
    def value_bits(self) -> int:
        """Bits of a value in the program."""
        return self.value.bits

    @property
    def latency_cycles(self) -> int:
        return max(1, (min(self.code.bits, self.value.bits) - 1).bit_length())

    def encode(self, values):
        """What the program stores for ``values``."""
        return values

    def build(self, m, codes, fields):
        return _each(m, self._one, codes, fields)

    def _one(self, m, code, field):
        value = field.as_signed() if self.value.lo < 0 else field
        by_code = self.code.bits < self.value.bits
        wide, narrow = (value, code) if by_code else (code, value)
        domain, digits = (self.value, self.code) if by_code else (self.code, self.value)
        signed = digits.lo < 0
        # Each part is `wide` times some bits of `narrow`, of which only the last has a sign.
        parts = []
        for k in range(digits.bits):
            last = signed and k == digits.bits - 1
            own = Range(-1, 0) if last else Range(0, 1)
            bit = Mux(narrow[k], wide, 0)
            parts.append((-bit if last else bit, own, 1))
        if len(parts) == 1:
            product = Signal(_times(domain, parts[0][1]).shape, reset_less=True)
            m.d.sync += product.eq(parts[0][0])
            return product, None
        level = 0
        while len(parts) > 1:
            level += 1
            joined = []
            for k in range(0, len(parts), 2):
                value, own, bits = parts[k]
                if k + 1 < len(parts):
                    high, more, width = parts[k + 1]
                    own = own + more * (1 << bits)
                    total = value + (high << bits)
                    if level == 1 and more.lo < 0:
                        # A bit that counts negative is subtracted, not negated and added.
                        total = value - (Mux(narrow[k + 1], wide, 0) << bits)
                    value, bits = total, bits + width
                held = Signal(
                    _times(domain, own).shape, name=f"product_{level}_{k // 2}", reset_less=True
                )
                m.d.sync += held.eq(value)
                joined.append((held, own, bits))
            parts = joined
        return parts[0][0], None


@dataclass(frozen=True)
class Dsp:
    """Hardware multipliers, one for two lanes where that is exact.

    ``(x0 + x1 * 2**k) * (v0 + v1 * 2**k)`` holds both products if what is between them,
    ``x0*v1 + x1*v0``, does not reach into the upper one. A negative lower part takes one from the
    upper one, which its sign gives back as the carry of the adder. In two's complement the upper
    field of the second factor is ``v1``, less one if ``v0`` is negative: so it is stored.
    """

    code: Range
    value: Range
    lanes: int

    latency_cycles = 1

    @property
    def place(self) -> int:
        """Where the second code and value begin; 0 if a multiplier does one product only."""
        if self.code.lo < 0 or self.lanes < 2:
            return 0
        one = max(-self.value.lo, self.value.hi, 1) * max(self.code.hi, 1)
        # one + 2 * one * 2**k < 2**(2 * k - 1), and the lower product must fit below 2**k.
        k = (4 * one + 1).bit_length()
        fits = k + self._upper.bits <= _FACTOR_BITS and k + self.code.bits < _FACTOR_BITS
        return k if fits else 0

    @property
    def _upper(self):
        return Range(self.value.lo - (self.value.lo < 0), self.value.hi)

    @property
    def multipliers(self) -> int:
        """How many there are."""
        return -(-self.lanes // 2) if self.place else self.lanes

    @property
    def value_bits(self) -> int:
        """Bits of a value in the program."""
        return self._upper.bits if self.place else self.value.bits

    def encode(self, values):
        """What the program stores for ``values`` (cycles, lanes)."""
        if not self.place:
            return values
        stored = values.copy()
        stored[:, 1::2] -= values[:, : values.shape[1] // 2 * 2 : 2] < 0
        return stored

    def build(self, m, codes, fields):
        signed = self.value.lo < 0
        if not self.place:
            return _each(m, self._one, codes, fields)
        k, built = self.place, []
        low, size = Range(self.value.lo, self.value.hi), _times(self.code, self.value).shape
        for pair in range(0, len(codes) - 1, 2):
            inner = Module()
            m.submodules[f"multiply_{pair}"] = inner
            first = Signal(low.shape)
            inner.d.comb += first.eq(fields[pair])
            wide = Signal(Range.signed(k).shape if signed else Range.unsigned(k).shape)
            inner.d.comb += wide.eq(first)
            values, both = Cat(wide, fields[pair + 1]), Signal(k + self.code.bits)
            inner.d.comb += both.eq(Cat(codes[pair], Const(0, k - self.code.bits), codes[pair + 1]))
            values = values.as_signed() if signed else values
            product = Signal(2 * k + size.width, reset_less=True)
            inner.d.sync += product.eq(both * values)
            for start in (0, 2 * k):
                part = product[start : start + size.width]
                carry = product[2 * k - 1] if start and signed else None
                built.append((part.as_signed() if signed else part, carry))
        if len(codes) % 2:
            m.submodules["multiply_last"] = inner = Module()
            built.append(self._one(inner, codes[-1], fields[-1]))
        return built

    def _one(self, m, code, field):
        value = field.as_signed() if self.value.lo < 0 else field
        product = Signal(_times(self.code, self.value).shape, reset_less=True)
        m.d.sync += product.eq(code * value)
        return product, None


@dataclass(frozen=True)
class Digit:
    """Signed powers of two: a shift, and the sign for the adder behind.

    The program stores which of ``places`` is shifted by, counted from one (0: nothing), and
    above it the sign. The product is one too small where the sign is set, and the adder takes
    the sign as its carry: so ``-a`` is ``~a`` and a carry.
    """

    code: Range
    places: tuple[int, ...]
    negative: bool

    latency_cycles = 1

    @property
    def _index_bits(self):
        return len(self.places).bit_length()

    @property
    def value_bits(self) -> int:
        """Bits of a value in the program."""
        return self._index_bits + self.negative

    def encode(self, values):
        """What the program stores for ``values``."""
        stored = values * 0
        for index, place in enumerate(self.places, start=1):
            stored[abs(values) == 1 << place] = index
        return stored | (values < 0) << self._index_bits

    def build(self, m, codes, fields):
        return _each(m, self._one, codes, fields)

    def _one(self, m, code, field):
        index = field[: self._index_bits]
        most = max(self.places, default=0)
        bits = self.code.bits + most + (self.negative and self.code.lo >= 0)
        shifted = Signal(Range.signed(bits).shape if self.negative else Range.unsigned(bits).shape)
        if self.code.lo < 0:
            shifted = Signal(Range.signed(bits).shape)
        with m.Switch(index):
            for number, place in enumerate(self.places, start=1):
                with m.Case(number):
                    m.d.comb += shifted.eq(code << place)
            with m.Default():
                m.d.comb += shifted.eq(0)
        product = Signal(shifted.shape(), reset_less=True)
        if not self.negative:
            m.d.sync += product.eq(shifted)
            return product, None
        sign, carry = field[self._index_bits], Signal(reset_less=True)
        m.d.sync += [product.eq(shifted ^ sign.replicate(len(shifted)).as_signed()), carry.eq(sign)]
        return product, carry


def multiplier(kind, code: Range, values, lanes):
    """How ``lanes`` lanes multiply codes in a range by ``values`` (0 among them)."""
    value = Range(int(values.min()), int(values.max()))
    if kind == "lut":
        return Lut(code, value)
    if kind == "dsp":
        return Dsp(code, value, lanes)
    if kind == "digit":
        odd = [v for v in values.tolist() if abs(v) & (abs(v) - 1)]
        if odd:
            raise ValueError(
                f"Folded: values of digit lanes must be signed powers of two, not {odd[0]}; "
                "schedule the weights in digits"
            )
        places = sorted({int(abs(v)).bit_length() - 1 for v in values.tolist() if v})
        return Digit(code, tuple(places), value.lo < 0)
    raise ValueError(f'Folded: multiplier must be "lut", "dsp" or "digit", not {kind!r}')


def _each(m, one, codes, fields):
    """Each lane on its own."""
    built = []
    for lane, (code, field) in enumerate(zip(codes, fields, strict=True)):
        m.submodules[f"multiply_{lane}"] = inner = Module()
        built.append(one(inner, code, field))
    return built


def _times(a: Range, b: Range) -> Range:
    return Range.span([a * b.lo, a * b.hi])
