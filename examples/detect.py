"""From a picture to a picture with the blood cells marked: red, white, platelets.

    python examples/detect.py MODEL.onnx BLOOD.jpg -o cells.png
    python examples/detect.py BUILD BLOOD.jpg --simulate
    python examples/detect.py BUILD BLOOD.jpg --port /dev/ttyUSB0

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
from sqwire.boxes import BCCD_HEAD, Found, decode, drawn
from sqwire.compiler import frontend
from sqwire.compiler.build import Build
from sqwire.errors import CompileError
from sqwire.train.pictures import read_rgb

NAMES = ("red cell", "white cell", "platelet")
COLOURS = ((220, 40, 40), (40, 90, 220), (240, 180, 0))


def detect(
    source: Path, picture: NDArray[np.uint8], *, simulate: bool = False, port: str | None = None
) -> tuple[NDArray[np.uint8], Found]:
    """The picture at the network's size, and the cells in it."""
    build = Build.load(source) if source.is_dir() else None
    graph = build.graph if build else frontend.import_qonnx(source)
    _, height, width = graph.input.shape
    small = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))
    x = small.transpose(2, 0, 1)[None].astype(np.float32)
    if port is not None or simulate:
        if build is None:
            raise ValueError(f"{source}: it must be a build for --simulate and --port; compile it")
        if simulate:
            output, _ = sqwire.simulate(build, x)
        else:
            output, _ = sqwire.run(build, x, port=port)
    else:
        output = graph.output.dequantize(graph.run(graph.input.quantize(x)))
    return small, decode([np.asarray(output)[0]], [BCCD_HEAD], (height, width))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="a model, or the folder of a build")
    parser.add_argument("picture", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("cells.png"))
    parser.add_argument("--simulate", action="store_true", help="run the circuit in Verilator")
    parser.add_argument("--port", help="run on the board behind this serial port")
    options = parser.parse_args(arguments)
    try:
        small, found = detect(
            options.source, read_rgb(options.picture), simulate=options.simulate, port=options.port
        )
    except (ValueError, CompileError) as error:
        sys.exit(str(error))
    Image.fromarray(drawn(small, found, COLOURS)).save(options.output)
    counts = (f"{int((found.labels == k).sum())} {name}s" for k, name in enumerate(NAMES))
    print(f"{options.output}: {', '.join(counts)}")


if __name__ == "__main__":
    main()
