"""A network on a board: images in, results out, over a serial line."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sqwire.compiler.build import Build

from .catalog import boards
from .errors import DeviceError
from .link.client import Client, Line
from .link.codec import PART_HEAD_BYTES, Kind, line_bytes
from .link.payloads import Identity, State
from .link.request import Traffic
from .ports import find_port, open_port

__all__ = ["DEFAULT_BAUD", "Device", "DeviceError"]

DEFAULT_BAUD = 3_000_000
_SLOWEST_HZ = 1_000_000
"""A clock below is not believed in."""

Int = NDArray[np.int64]
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
        frame = self.identity.input
        smaller = frame.frame_bytes(packed=True) < frame.frame_bytes(packed=False)
        self.packed = packed and smaller

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
        tensors = graph.input.tensor, graph.tensors[graph.output.node]
        for frame, tensor in zip((identity.input, identity.output), tensors, strict=True):
            if frame.codes != math.prod(tensor.shape):
                raise DeviceError(
                    f"Board at {self.name}: a frame must have {math.prod(tensor.shape)} codes as "
                    f"in {self.build.path}, not {frame.codes}; "
                    f"run: sqwire program {self.build.path}"
                )

    def _line_bits(self) -> int:
        """What all messages that may be unanswered, and one more, take on the line."""
        frames = (self.identity.input, self.identity.output)
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
        images: NDArray[np.generic],
        *,
        saturate: bool = True,
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """Results for images (frames, *shape), both as the ONNX graph has them.

        ``progress`` is called with how many results are there, and of how many.

        Raises
        ------
        ValueError
            If the shape or a value is wrong.
        DeviceError
            If the board does not answer.
        """
        graph = self._built().graph
        codes = self._as_beats(graph.input.quantize(images, saturate=saturate))
        return graph.output.dequantize(self._as_tensor(self.run(codes, progress=progress)))

    def submit(
        self, image: NDArray[np.generic], *, saturate: bool = True
    ) -> Future[NDArray[np.float32]]:
        """Send one image, without waiting; its result will be in the future."""
        graph = self._built().graph
        codes = self._as_beats(graph.input.quantize(np.asarray(image)[None], saturate=saturate))
        result: Future[NDArray[np.float32]] = Future()

        def finish(reply: Future[bytes]) -> None:
            try:
                frame = self.identity.output.unpack(reply.result())[None]
                result.set_result(graph.output.dequantize(self._as_tensor(frame))[0])
            except Exception as error:
                result.set_exception(error)

        self._send(codes[0]).add_done_callback(finish)
        return result

    def _as_beats(self, codes: Int) -> Int:
        """Codes in the shape of the board's frames: a position may be several beats."""
        frame = self.identity.input
        return codes.reshape(len(codes), frame.height, frame.width, frame.channels)

    def _as_tensor(self, codes: Int) -> Int:
        """Codes in the shape of the network's output."""
        graph = self._built().graph
        return codes.reshape(len(codes), *graph.tensors[graph.output.node].shape)

    def run(self, codes: Int, *, progress: Progress | None = None) -> Int:
        """Output codes (frames, height, width, channels) for input codes of the same layout.

        Raises
        ------
        ValueError
            If the shape, the type or a code is wrong.
        DeviceError
            If the board does not answer.
        """
        frame = self.identity.input
        shape = (frame.height, frame.width, frame.channels)
        if codes.ndim != 4 or codes.shape[1:] != shape:
            wanted = ", ".join(map(str, shape))
            raise ValueError(f"Codes: their shape must be (frames, {wanted}), not {codes.shape}")
        low = -(1 << frame.bits - 1) if frame.signed else 0
        high = low + (1 << frame.bits) - 1
        if codes.dtype.kind not in "iub" or ((codes < low) | (codes > high)).any():
            raise ValueError(f"Codes: they must be whole numbers from {low} to {high}")
        frame = self.identity.output
        out = np.zeros((len(codes), frame.height, frame.width, frame.channels), np.int64)
        # As bytes only those are kept that are on their way, or soon will be.
        replies: deque[Future[bytes]] = deque()
        try:
            for k in range(len(codes)):
                while len(replies) < 2 * self.identity.credits and k + len(replies) < len(codes):
                    replies.append(self._send(codes[k + len(replies)]))
                out[k] = frame.unpack(replies.popleft().result())
                if progress:
                    progress(k + 1, len(codes))
        except BaseException:
            for reply in replies:
                reply.cancel()
            raise
        return out

    def _send(self, codes: Int) -> Future[bytes]:
        frame = self.identity.input
        messages = frame.messages_of(codes, packed=self.packed)
        if frame.is_cut:
            kind = Kind.PART_PACKED if self.packed else Kind.PART
            return self._client.submit_parts(kind, messages)
        kind = Kind.INFER_PACKED if self.packed else Kind.INFER
        return self._client.submit(kind, messages[0])

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
