"""From two pictures to a coloured disparity map and a cloud of points.

    python examples/stereo.py MODEL.onnx LEFT.png RIGHT.png -o disparity.png [--ply cloud.ply]
    python examples/stereo.py BUILD LEFT.png RIGHT.png --simulate
    python examples/stereo.py BUILD LEFT.png RIGHT.png --port /dev/ttyUSB0

A model runs as an integer graph; a build in Verilator, or on the board. All give the same
integers.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import sqwire
from sqwire.compiler import frontend
from sqwire.compiler.build import Build
from sqwire.depth import coloured, fitted, write_ply
from sqwire.errors import CompileError
from sqwire.train.pictures import read_grey


def disparity(
    source: Path,
    left: NDArray[np.uint8],
    right: NDArray[np.uint8],
    *,
    simulate: bool = False,
    port: str | None = None,
) -> NDArray[np.float32]:
    """Disparities (height, width) in pixels."""
    build = Build.load(source) if source.is_dir() else None
    graph = build.graph if build else frontend.import_qonnx(source)
    _, height, width = graph.input.shape
    pair = fitted(left, right, (height, width))
    if port is not None or simulate:
        if build is None:
            raise ValueError(f"{source}: it must be a build for --simulate and --port; compile it")
        if simulate:
            found, _ = sqwire.simulate(build, pair)
        else:
            found, _ = sqwire.run(build, pair, port=port)
    else:
        found = graph.output.dequantize(graph.run(graph.input.quantize(pair)))
    return np.asarray(found)[0, 0, : left.shape[0], : left.shape[1]]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="a model, or the folder of a build")
    parser.add_argument("left", type=Path)
    parser.add_argument("right", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("disparity.png"))
    parser.add_argument("--ply", type=Path, help="write a cloud of points too")
    parser.add_argument("--focal", type=float, default=500.0, help="focal length in pixels")
    parser.add_argument("--simulate", action="store_true", help="run the circuit in Verilator")
    parser.add_argument("--port", help="run on the board behind this serial port")
    options = parser.parse_args(arguments)
    try:
        left, right = read_grey(options.left), read_grey(options.right)
        found = disparity(options.source, left, right, simulate=options.simulate, port=options.port)
        Image.fromarray(coloured(found)).save(options.output)
        print(f"{options.output}: disparities from {found.min():.1f} to {found.max():.1f} pixels")
        if options.ply:
            count = write_ply(options.ply, left, found, focal=options.focal)
            print(f"{options.ply}: {count} points")
    except (ValueError, CompileError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
