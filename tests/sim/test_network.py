"""The bench measures right designs exactly and names every rule that a wrong one breaks."""

import shutil

import numpy as np
import pytest

from sqwire.hw.axis import Port
from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range
from sqwire.sim import network
from sqwire.sim.network import Bench, Play, Result, Transfers, simulate
from sqwire.sim.toolchain import SimulationError

STALLS = ("none", "source", "sink", "both")
FRAMES = 400  # more transfers than a chunk holds, and no multiple of it


def codes(frames, seed=0):
    x = np.random.default_rng(seed).integers(-8, 8, (frames, 6, 3))
    x[0], x[1] = -8, 7
    return x


def watched(bench):
    return {watch.name: 100 for watch in bench.watches}


@pytest.fixture(scope="module")
def x():
    return codes(FRAMES)


@pytest.fixture(scope="module")
def results(pair_bench, x):
    """The same frames under all stall patterns, and once more without stalls."""
    return pair_bench.simulate(x, *STALLS, "none", watch=watched(pair_bench))


def test_every_integer_is_right_under_every_stall_pattern(results, pair_network, x):
    for result in results:
        assert np.array_equal(result.y, pair_network.compute(x))
        assert result.violations == ()
        assert result.errors == 0
        assert result.check() is result


def test_cycles_without_stalls_are_those_of_the_pipeline(results):
    # Six transfers in, the last in cycle 5; one cycle in each of two registers.
    assert results[0].latency_cycles == 5 + 2 + 1
    assert results[0].cycles == 6 * FRAMES + 2


def test_each_end_stalls_when_asked_and_only_then(results):
    none, source, sink, both, again = (result.cycles for result in results)
    assert again == none
    assert source > 1.5 * none
    assert sink > 1.2 * none
    assert both > max(source, sink)


def test_watched_streams_hold_what_each_stage_computes(results, pair_network, x):
    traced = {k.stage: v for k, v in pair_network.trace(x).items()}
    for result in results:
        for name in ("increment", "pair.sum"):
            assert result.seen[name].shape == (100, 3)
            assert np.array_equal(result.seen[name], traced[name].reshape(-1, 3)[:100])


def test_a_stream_that_does_not_exist_is_not_seen(results):
    assert all(set(result.seen) == {"increment", "pair.sum"} for result in results)


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_icarus_gives_the_same_integers_in_the_same_cycles(pair_bench, pair_verilog, x, tmp_path):
    bench = Bench.build(
        [pair_verilog / "design.v"],
        pair_bench.inputs,
        pair_bench.outputs,
        tmp_path,
        watches=pair_bench.watches,
        simulator="icarus",
    )
    for ours, verilated in zip(
        bench.simulate(x[:40], "both", "none", watch=watched(pair_bench)),
        pair_bench.simulate(x[:40], "both", "none", watch=watched(pair_bench)),
        strict=True,
    ):
        assert np.array_equal(ours.y, verilated.y)
        assert ours.cycles == verilated.cycles
        assert ours.violations == ()
        for name, want in verilated.seen.items():
            assert np.array_equal(ours.seen[name], want)


ENDLESS = """
module sqwire_top(
  input clk, input rst,
  input [7:0] s_axis_tdata, input s_axis_tvalid, input s_axis_tlast, output s_axis_tready,
  output [7:0] m_axis0_tdata, output m_axis0_tvalid, output m_axis0_tlast, input m_axis0_tready,
  output [7:0] m_axis1_tdata, output m_axis1_tvalid, output m_axis1_tlast, input m_axis1_tready,
  output error
);
  assign s_axis_tready = 1;
  assign {m_axis0_tdata, m_axis0_tvalid, m_axis0_tlast} = 0;
  assign {m_axis1_tdata, m_axis1_tvalid, m_axis1_tlast} = 3;
  assign error = 0;
endmodule
"""


def test_a_run_tells_how_far_it_is_and_is_ended_where_a_surplus_has_no_end(
    tmp_path, library, monkeypatch
):
    (tmp_path / "endless.v").write_text(ENDLESS)
    port = Port(Beat(Range.unsigned(8), 1), 4)
    bench = Bench.build(
        [tmp_path / "endless.v"], [port], [port, port], tmp_path / "bench",
        cache=library, allow_warnings=["UNUSEDSIGNAL"],
    )  # fmt: skip
    monkeypatch.setattr(network, "_TELL_SECONDS", 0)
    play = Play.frames(np.zeros((1000, 4, 1), int), bench.outputs)
    with pytest.raises(SimulationError, match="must write to its log within 10 seconds") as caught:
        bench.run([play], timeout_seconds=10)
    assert "transfers to come" in caught.value.__notes__[0]


def test_one_call_simulates_a_design(pair_bench, pair_network, pair_verilog, x, library):
    """In a folder where the same design lies built already, which it finds."""
    made = (pair_bench.simulation.folder / "built.json").stat().st_mtime_ns
    result = simulate(
        [pair_verilog / "design.v"],
        pair_bench.inputs,
        pair_bench.outputs,
        x[:5],
        pair_bench.workdir,
        stalls="source",
        watches=pair_bench.watches,
        cache=library,
    )
    assert np.array_equal(result.y, pair_network.compute(x[:5]))
    assert len(result.seen["increment"]) == 30
    assert (pair_bench.simulation.folder / "built.json").stat().st_mtime_ns == made


def test_short_and_long_frames_raise_error_and_the_next_frame_is_right(pair_bench, pair_network):
    x = codes(4, seed=1)
    short, long = x[0][:4], np.concatenate([x[1], x[1][:2]])
    data = np.concatenate([short, x[2], long, x[3]])
    last = np.zeros(len(data), dtype=bool)
    last[np.cumsum([len(short), 6, len(long), 6]) - 1] = True
    plays = [Play((Transfers(data, last),), (12,), stalls=stalls) for stalls in STALLS]
    whole = x[[0, 2, 1, 3]].copy()
    whole[0, 4:] = 0
    for recording in pair_bench.run(plays):
        result = Result.of(recording, pair_bench.outputs, 4)
        assert np.array_equal(result.y, pair_network.compute(whole))
        assert result.errors == 2
        assert result.violations == ()


def test_reset_in_mid_frame_leaves_nothing_behind(pair_bench, pair_network, x):
    frames = Play.frames(x[:20], pair_bench.outputs)
    plays = [
        Play(frames.inputs, frames.expected, "both", cut_after=cut_after)
        for cut_after in (1, 3, 8, 64)
    ]
    for recording in pair_bench.run(plays):
        result = Result.of(recording, pair_bench.outputs, 20)
        assert np.array_equal(result.y, pair_network.compute(x[:20]))
        assert result.violations == ()


def test_no_frames_give_no_frames(pair_bench):
    (result,) = pair_bench.simulate(np.zeros((0, 6, 3), dtype=np.int64), "none")
    assert result.y.shape == (0, 3, 3)
    assert result.violations == ()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((2, 5, 3), dtype=int), r"of shape \(frames, 6, 3\), not int64 \(2, 5, 3\)"),
        (np.zeros((2, 6, 3)), "must be integers"),
        (np.full((2, 6, 3), 8), "codes must be in -8..7, not 8..8"),
    ],
)
def test_frames_that_do_not_fit_are_refused(pair_bench, bad, message):
    with pytest.raises(ValueError, match=message):
        pair_bench.simulate(bad, "none")


def test_transfer_that_does_not_fit_its_field_is_refused(pair_bench):
    play = Play((Transfers(np.full((6, 3), 128), np.zeros(6, dtype=bool)),), (0,))
    with pytest.raises(ValueError, match="must fit in 1 bytes"):
        pair_bench.run([play])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("FALLS", "m_axis_tvalid fell before m_axis_tready came"),
        ("CHANGES", "m_axis_tdata changed before m_axis_tready came"),
        ("LAST_CHANGES", "m_axis_tlast changed before m_axis_tready came"),
        ("LAST_WRONG", "m_axis_tlast is high on transfer 1 of frame 5"),
        ("SURPLUS", "1 transfers more on m_axis than 10 frames have"),
        ("HANGS", "nothing moved for 500 cycles after 22 of 40 output transfers"),
        ("LOSES", "nothing moved for 500 cycles after 39 of 40 output transfers"),
        ("ERROR", None),
    ],
)
def test_broken_rule_is_named(broken, fault, message):
    result = broken[fault]
    assert result.errors == (fault == "ERROR")
    if message is None:
        assert result.violations == ()
        return
    assert message in result.violations
    with pytest.raises(SimulationError, match="Simulated design: "):
        result.check()


@pytest.fixture(scope="module")
def broken(faulty_bench, faults):
    """The result of ten frames, of which transfer 1 of frame 5 has a fault, for each fault."""
    names = ("FALLS", "CHANGES", "LAST_CHANGES", "LAST_WRONG", "SURPLUS", "HANGS", "LOSES", "ERROR")
    plays = []
    for name in names:
        x = np.arange(40).reshape(10, 4, 1)
        x[5, 1] = getattr(faults, name)
        # The sink must be in a pause when the fault comes: with 40 transfers it mostly is.
        stalls = "sink" if name in ("FALLS", "CHANGES", "LAST_CHANGES") else "none"
        frames = Play.frames(np.tile(x, (6, 1, 1)) if stalls == "sink" else x, faulty_bench.outputs)
        plays.append(Play(frames.inputs, frames.expected, stalls=stalls, idle_cycles=500))
    recordings = faulty_bench.run(plays)
    return {
        name: Result.of(recording, faulty_bench.outputs, play.expected[0] // 4)
        for name, play, recording in zip(names, plays, recordings, strict=True)
    }
