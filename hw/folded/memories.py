"""The memories of a folded layer: of what they are made and how large they are."""

from dataclasses import replace

from .memory import FABRICS, Fabric, Store
from .slots import bank_words

__all__ = ["Memories"]


class Memories:
    """What :class:`sqwire.hw.folded.engine.Folded` says of its memories."""

    @property
    def buffers(self) -> int:
        """Positions of which finished accumulators are kept, so that none waits for the sink.

        A split program needs none: it stands still where the sink does not keep up.
        """
        if self.program.split:
            return 0
        longest = max(self.position_cycles, self.beats_position)
        wanted = -(-(self.first_cycles + self.channel_beats) // longest)
        return max(2, 1 << (wanted - 1).bit_length())

    @property
    def buffer_bits(self) -> int:
        """Bits that tell them apart."""
        return max(self.buffers - 1, 0).bit_length()

    @property
    def queue_depth(self) -> int:
        """Output beats for which there is room: as many as are under way at once."""
        return max(16, 1 << (self.collect_cycles + 1).bit_length())

    @property
    def slot_bits(self) -> int:
        """Bits of a position in the line buffer."""
        return (self.slots - 1).bit_length()

    @property
    def address_bits(self) -> int:
        """Bits of an address of a bank."""
        return self.program.local_bits + self.slot_bits

    @property
    def made_of(self) -> Fabric:
        """What there is to make memories of."""
        return replace(FABRICS[self.fabric], worth=self.block_luts)

    def _store(self, name, depth, width, rom, copies=1):
        return Store(name, depth, width, rom, copies, self.made_of)

    @property
    def bank_store(self) -> Store:
        depth = bank_words(self, self.slots)
        layout = self.program.layout
        # All rings of a dense program read the same.
        copies = layout.ring if self.program.dense else layout.lanes
        return self._store("banks", depth, self.range.bits, False, copies)

    @property
    def acc_store(self) -> Store:
        rows = 1 << self.program.row_bits
        return self._store("accumulators", rows, self.acc_bits, False, self.program.layout.lanes)

    @property
    def done_parts(self) -> int:
        """Memories of finished accumulators in a lane: a LUT RAM is 16 deep, more need a switch."""
        whole = self._store("done", self.buffers << self.program.row_bits, self.acc_bits, False)
        if whole.kind == "block" or not self.made_of.lut_ram:
            return 1
        return -(-self.buffers // max(1, 16 >> self.program.row_bits))

    @property
    def done_store(self) -> Store:
        rows = (self.buffers // self.done_parts) << self.program.row_bits
        copies = self.program.layout.lanes * self.done_parts
        return self._store("done", rows, self.acc_bits, False, copies)

    @property
    def before_store(self) -> Store:
        width = self.acc_bits * self.program.layout.lanes_out
        return self._store("before", self.channel_beats, width, False)

    @property
    def queue_store(self) -> Store:
        return self._store("queue", self.queue_depth, self.outputs[0].bits, False)

    @property
    def fetch_store(self) -> Store:
        width = self.program.fetch_bits()
        if self.program.split:
            width += self.program.execute_bits(self.multiply.value_bits)
        return self._store("fetch", self.program.cycles, width, True)

    @property
    def execute_store(self) -> Store:
        """The part for the lanes, of its own; in a split program it is in the same words."""
        split = self.program.split
        width = 0 if split else self.program.execute_bits(self.multiply.value_bits)
        return self._store("execute", self.program.cycles, width, True)

    @property
    def part_store(self) -> Store:
        """What lanes of a split program have summed and others not yet, of each."""
        return self._store(
            "parts", self.ahead.depth, self.acc_bits, False, self.program.layout.lanes
        )

    @property
    def shown_store(self) -> Store:
        """Which lanes of a split program have a part of each output, unless all have."""
        lanes = 0 if self.program.shown.all() else self.program.layout.lanes
        return self._store("shown", self.program.layout.rows, lanes, True)

    @property
    def bank_rom(self) -> Store:
        layout = self.program.layout
        bits = (layout.ring - 1).bit_length()
        return self._store("bank_of_beat", self.beats_position, bits * layout.lanes_in, True)

    @property
    def lane_rom(self) -> Store:
        layout = self.program.layout
        bits = (layout.group - 1).bit_length() * layout.parts * layout.lanes_out
        return self._store("lane_of_beat", self.channel_beats, bits, True)

    @property
    def stores(self) -> tuple[Store, ...]:
        """All memories: of what they are made and how large they are."""
        own = [self.bank_store, self.queue_store, self.fetch_store, self.bank_rom]
        if self.program.split:
            own += [self.part_store, self.shown_store]
        else:
            own += [self.done_store, self.before_store, self.execute_store, self.lane_rom]
            if self.program.row_bits:
                own.append(self.acc_store)
        for element, circuit in enumerate(self.requantise):
            own += circuit.stores(f"requantise_{element}")
        return tuple(own)

    @property
    def program_bits(self) -> int:
        """Bits of the program."""
        return self.fetch_store.bits + self.execute_store.bits

    @property
    def buffer_size_bits(self) -> int:
        """Bits of the line buffer."""
        return self.bank_store.bits
