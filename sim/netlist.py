"""The bench for a netlist: the network in cells of a device, as Yosys left it."""

from __future__ import annotations

from sqwire.compiler.build import Build

from .cells import library_of
from .network import Bench, ports

__all__ = ["netlist_bench"]

_NETLIST = "netlist.v"

# What the models of the cells give rise to: timing checks that are left out, the initial value of
# a flip-flop, pins that nothing of ours uses, the widths of their own arithmetic, cells for other
# uses than ours. Both ports of a block RAM write to it, each at its own clock input: that these are
# one clock is not seen where the model is not put in place.
_ALLOWED_WARNINGS = (
    "ASSIGNIN",
    "DECLFILENAME",
    "INITIALDLY",
    "MULTIDRIVEN",
    "MULTITOP",
    "PINMISSING",
    "SPECIFYIGN",
    "TIMESCALEMOD",
)


def netlist_bench(build: Build) -> Bench:
    """The bench of a build's ``netlist.v``, kept in the build folder until the netlist changes.

    Raises
    ------
    ValueError
        If the build has no netlist yet.
    SimulationError
        If the netlist holds cells of which there is no model, or in another mode.
    """
    if _NETLIST not in build.files:
        raise ValueError(
            f"Build {build.path}: it must hold {_NETLIST}, and does not; "
            f"run: sqwire synth {build.path}"
        )
    netlist = build.path / _NETLIST
    library = library_of(netlist)
    folder = build.path / "simulation"
    return Bench.build(
        [*library.sources, netlist],
        *ports(build),
        folder / "netlist",
        includes=library.includes,
        defines=library.defines,
        allow_warnings=(*_ALLOWED_WARNINGS, *library.warnings),
        optimize=False,
        cache=folder / "library",
    )
