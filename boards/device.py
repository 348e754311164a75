"""A network on a board: images in, results out, over a serial line."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import accumulate
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sqwire.compiler.build import Build
from sqwire.hw.ports import one_or_all

from .catalog import boards
from .errors import DeviceError
from .link.client import Client, Line
from .link.codec import PART_HEAD_BYTES, Kind, line_bytes
from .link.payloads import Format, Identity, State
from .link.request import Traffic
from .ports import find_port, open_port

__all__ = ["DEFAULT_BAUD", "Device", "DeviceError"]

DEFAULT_BAUD = 3_000_000
_SLOWEST_HZ = 1_000_000
"""A clock below is not believed in."""

Int = NDArray[np.int64]
Reals = NDArray[np.float32] | tuple[NDArray[np.float32], ...]
Progress = Callable[[int, int], None]


class Device:
    """A board that runs a network.

    Parameters
    ----------
    port
        Name of the serial port, None to find it by its USB id, or an open line.
    build
        The build that the board must hold. Its first and last layer say how images become codes
        and codes become results; without it only :meth:`run`, on codes, is there.
    baud
        Rate of the line.
    timeout_seconds, retries
        A request that is not answered in time is sent again, so many times at most. To the time
        comes what the messages that may be unanswered take on the line, and what the network takes
        by the plan in the build.
    packed
        Send codes at their own width, where that is less than whole bytes.

    Raises
    ------
    DeviceError
        If there is no such port, it is in use or forbidden, nothing answers, or the board holds
        another design.
    """

    def __init__(
        self,
        port: str | Line | None = None,
        build: Build | None = None,
        *,
        baud: int = DEFAULT_BAUD,
        timeout_seconds: float = 1.0,
        retries: int = 8,
        packed: bool = True,
    ) -> None:
        if port is None:
            port = find_port(sorted({usb for board in boards() for usb in board.usb_ids}))
        self.name = port if isinstance(port, str) else str(getattr(port, "name", "the line"))
        self.build = build
        line: Line = (
            port
            if not isinstance(port, str)
            else open_port(port, baud, write_seconds=max(5.0, timeout_seconds))
        )
        self._client = Client(line, self.name, timeout_seconds=timeout_seconds, retries=retries)
        try:
            self._client.reset()
            self.identity = self._client.identify()
            self._check(self.identity)
            # A rate that one end only believes in must not make it wait for ever.
            rate = max(self.identity.baud, baud if isinstance(port, str) else 0)
            self._client.timeout_seconds += self._line_bits() / rate + self._network_seconds()
        except BaseException:
            self._client.close()
            raise
        smaller = [f.frame_bytes(packed=True) < f.frame_bytes(packed=False)
                   for f in self.identity.inputs]  # fmt: skip
        self.packed = packed and any(smaller)

    def _check(self, identity: Identity) -> None:
        if self.build is None:
            return
        wanted = bytes.fromhex(self.build.files["design.il"])[: len(identity.design)]
        if identity.design != wanted:
            raise DeviceError(
                f"Board at {self.name}: it must hold the design {wanted.hex()} of "
                f"{self.build.path}, not {identity.design.hex()}; "
                f"run: sqwire program {self.build.path}"
            )
        graph = self.build.graph
        tensors = [input.tensor for input in graph.inputs]
        tensors += [graph.tensors[output.node] for output in graph.outputs]
        codes = [math.prod(tensor.shape) for tensor in tensors]
        had = [frame.codes for frame in identity.inputs + identity.outputs]
        if had != codes:
            raise DeviceError(
                f"Board at {self.name}: frames in and out must have {_listed(codes)} codes as in "
                f"{self.build.path}, not {_listed(had)}; "
                f"run: sqwire program {self.build.path}"
            )

    def _line_bits(self) -> int:
        """What all messages that may be unanswered, and one more, take on the line."""
        frames = self.identity.inputs + self.identity.outputs
        sizes = [frame.message_bytes(packed=False) + PART_HEAD_BYTES for frame in frames]
        return 10 * sum(map(line_bytes, sizes)) * (self.identity.credits + 1)

    def _network_seconds(self) -> float:
        """What the network takes, by its plan, for all frames that may be unanswered."""
        if self.build is None:
            return 0.0
        plan = self.build.planned
        cycles = plan["latency_cycles"] + self.identity.credits * plan["cycles_per_frame"]
        return float(cycles / max(self.identity.clock_hz, _SLOWEST_HZ))

    @property
    def traffic(self) -> Traffic:
        """What happened on the line."""
        return self._client.traffic

    def status(self) -> State:
        """How the board fares."""
        return self._client.status()

    def reset(self) -> None:
        """Make the board forget all frames and counters."""
        self._client.reset()

    def infer(
        self,
        *images: NDArray[np.generic],
        saturate: bool = True,
        progress: Progress | None = None,
    ) -> Reals:
        """Results for images (frames, *shape), both as the ONNX graph has them: an array for each
        input; one of results, or a tuple where there are several outputs.

        ``progress`` is called with how many results are there, and of how many.

        Raises
        ------
        ValueError
            If the shape or a value is wrong.
        DeviceError
            If the board does not answer.
        """
        codes = self._as_beats(self._quantized(images, saturate))
        return one_or_all(self._real(self._run(codes, progress)))

    def submit(self, *image: NDArray[np.generic], saturate: bool = True) -> Future[Reals]:
        """Send one image, for each input, without waiting; its result will be in the future."""
        one = [np.asarray(own)[None] for own in image]
        codes = self._as_beats(self._quantized(one, saturate))
        result: Future[Reals] = Future()

        def finish(reply: Future[bytes]) -> None:
            try:
                frames = [own[None] for own in self._unpack(reply.result())]
                result.set_result(one_or_all([own[0] for own in self._real(frames)]))
            except Exception as error:
                result.set_exception(error)

        self._send([own[0] for own in codes]).add_done_callback(finish)
        return result

    def _quantized(self, images: Sequence[NDArray[np.generic]], saturate: bool) -> list[Int]:
        inputs = self._built().graph.inputs
        if len(images) != len(inputs):
            raise ValueError(f"Inputs: there must be {len(inputs)} arrays, not {len(images)}")
        return [i.quantize(x, saturate=saturate) for i, x in zip(inputs, images, strict=True)]

    def _as_beats(self, codes: Sequence[Int]) -> list[Int]:
        """Codes in the shape of the board's frames: a position may be several beats."""
        return [
            own.reshape(len(own), frame.height, frame.width, frame.channels)
            for own, frame in zip(codes, self.identity.inputs, strict=True)
        ]

    def _real(self, codes: Sequence[Int]) -> list[NDArray[np.float32]]:
        """Results as the ONNX graph has them."""
        graph = self._built().graph
        return [
            output.dequantize(own.reshape(len(own), *graph.tensors[output.node].shape))
            for own, output in zip(codes, graph.outputs, strict=True)
        ]

    def run(self, *codes: Int, progress: Progress | None = None) -> Int | tuple[Int, ...]:
        """Output codes (frames, height, width, channels) for input codes of the same layout; a
        tuple of them where there are several outputs.

        Raises
        ------
        ValueError
            If the number of inputs or of frames, a shape, the type or a code is wrong.
        DeviceError
            If the board does not answer.
        """
        return one_or_all(self._run(codes, progress))

    def _run(self, codes: Sequence[Int], progress: Progress | None) -> list[Int]:
        inputs, outputs = self.identity.inputs, self.identity.outputs
        if len(codes) != len(inputs):
            raise ValueError(f"Codes: there must be {len(inputs)} arrays, not {len(codes)}")
        for own, frame in zip(codes, inputs, strict=True):
            _check_codes(own, frame)
        count = len(codes[0])
        if any(len(own) != count for own in codes):
            raise ValueError(
                f"Codes: all must be of as many frames, not {_listed([len(own) for own in codes])}"
            )
        out = [np.zeros((count, f.height, f.width, f.channels), np.int64) for f in outputs]
        # As bytes only those are kept that are on their way, or soon will be.
        replies: deque[Future[bytes]] = deque()
        try:
            for k in range(count):
                while len(replies) < 2 * self.identity.credits and k + len(replies) < count:
                    replies.append(self._send([own[k + len(replies)] for own in codes]))
                result = self._unpack(replies.popleft().result())
                for results, one in zip(out, result, strict=True):
                    results[k] = one
                if progress:
                    progress(k + 1, count)
        except BaseException:
            for reply in replies:
                reply.cancel()
            raise
        return out

    def _unpack(self, result: bytes) -> list[Int]:
        """The frame of each output in a result."""
        outputs = self.identity.outputs
        ends = list(accumulate(frame.frame_bytes(packed=False) for frame in outputs))
        cut = zip(outputs, [0, *ends], [*ends[:-1], len(result)], strict=False)
        return [frame.unpack(result[start:end]) for frame, start, end in cut]

    def _send(self, codes: Sequence[Int]) -> Future[bytes]:
        inputs = self.identity.inputs
        if self.identity.frames_are_cut:
            kind = Kind.PART_PACKED if self.packed else Kind.PART
            return self._client.submit_parts(
                kind, inputs[0].messages_of(codes[0], packed=self.packed)
            )
        kind = Kind.INFER_PACKED if self.packed else Kind.INFER
        pairs = zip(inputs, codes, strict=True)
        return self._client.submit(
            kind, b"".join(frame.pack(own, packed=self.packed) for frame, own in pairs)
        )

    def _built(self) -> Build:
        if self.build is None:
            raise ValueError("Device: it must be given a build to take images; or use run(codes)")
        return self.build

    def close(self) -> None:
        """Give the port back."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _check_codes(codes: Int, frame: Format) -> None:
    shape = (frame.height, frame.width, frame.channels)
    if codes.ndim != 4 or codes.shape[1:] != shape:
        wanted = ", ".join(map(str, shape))
        raise ValueError(f"Codes: their shape must be (frames, {wanted}), not {codes.shape}")
    low = -(1 << frame.bits - 1) if frame.signed else 0
    high = low + (1 << frame.bits) - 1
    if codes.dtype.kind not in "iub" or ((codes < low) | (codes > high)).any():
        raise ValueError(f"Codes: they must be whole numbers from {low} to {high}")


def _listed(numbers: Sequence[int]) -> str:
    return " and ".join(map(str, numbers))
