"""Parts that are lost, doubled or late, on a line with a model of the board at its end."""

import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqwire.boards.link.codec import Kind
from sqwire.boards.link.parts import Part, Taken, result_part
from sqwire.boards.link.window import Astray, Window


class Board:
    """What :class:`sqwire.boards.link.order.Order` and its ring do, in a few lines."""

    def __init__(self, credits):
        self.credits, self.ring, self.frames = credits, deque(), []
        self.next = self.taken = self.round = 0
        self.early = False
        self.open = None  # the frame that is coming: (number, codes)

    def hear(self, message, count):
        """A part, of a frame that has ``count``; whether it is told."""
        part = Part.unpack(message.payload)
        index = len(self.open[1]) if self.open else 0
        known = self.open is None or self.open[0] == message.sequence
        ahead = (part.number - self.next) % 256
        if ahead == 0 and part.index == index and known:
            assert len(self.ring) < self.credits
            if self.open is None:
                self.open = (message.sequence, [])
            self.open[1].append(part.codes)
            self.ring.append(part)
            if len(self.open[1]) == count:
                self.frames.append(self.open)
                self.open = None
            self.next += 1
            self.round, self.early = part.round, False
            return False
        self.round, self.early = part.round, ahead < 128
        return True

    def feed(self):
        self.ring.popleft()
        self.taken += 1

    def state(self):
        return Taken(self.taken, self.next, self.round, self.early)


def deliver(sizes, credits, rng, *, loss, slow=0.3, steps=200_000):
    """Frames with so many parts each, over a line that loses messages both ways; how many parts
    were sent."""
    window, board = Window(credits), Board(credits)
    frames = [
        (k, [bytes([k, n % 256, n >> 8]) for n in range(size)]) for k, size in enumerate(sizes)
    ]
    for number, codes in frames:
        window.add(number, Kind.PART, codes)
    there, back = deque(), deque()
    sent = quiet = 0
    for _ in range(steps):
        if board.frames == frames and not window.waits:
            return sent
        quiet += 1
        dice = rng.random()
        if dice < 0.4 and (found := window.next()):
            sent, quiet = sent + 1, 0
            there.append(found[0])
        elif dice < 0.7 and there:
            message = there.popleft()
            if rng.random() >= loss and board.hear(message, sizes[message.sequence]):
                back.append(board.state())
        elif dice < 0.85 and back:
            report = back.popleft()
            if rng.random() >= loss:
                window.heard(report)
                quiet = 0
        elif board.ring and rng.random() < slow:
            board.feed()
            back.append(board.state())
        if quiet > 200:
            window.back()
            quiet = 0
    raise AssertionError("nothing moves")


@pytest.mark.parametrize("credits", [1, 2, 4, 8, 16])
def test_without_loss_each_part_is_sent_once(credits):
    sizes = [3, 1, 400, 2, 7]
    assert deliver(sizes, credits, random.Random(0), loss=0) == sum(sizes)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=8),
    st.sampled_from([1, 2, 4, 8, 16]),
    st.floats(0, 0.6),
    st.integers(0, 1000),
)
def test_whatever_is_lost_the_frames_are_there_whole_and_in_order(sizes, credits, loss, seed):
    deliver(sizes, credits, random.Random(seed), loss=loss)


def test_numbers_that_begin_again_are_told_apart():
    deliver([700, 600], 16, random.Random(1), loss=0.2)


def test_a_lost_part_costs_the_parts_that_were_on_their_way():
    # Each loss costs at most a window, not one for each report that it was early.
    sent = deliver([2000], 8, random.Random(2), loss=0.02, slow=1)
    assert sent < 2000 * (1 + 0.02 * 16)


def test_a_report_that_cannot_be_tells_that_somebody_reset_the_board():
    window = Window(4)
    window.add(1, Kind.PART, [b"a"] * 9)
    for _ in range(4):
        window.next()
    assert window.heard(Taken(2, 3, 0, False))
    for report in (Taken(0, 0, 0, False), Taken(4, 3, 0, False), Taken(3, 5, 0, True)):
        with pytest.raises(Astray):
            window.heard(report)


def test_if_the_board_has_all_the_last_part_is_sent_again_so_that_it_answers():
    window = Window(2)
    window.add(1, Kind.PART, [b"a", b"b", b"c"])
    assert [window.next()[0].payload[-1:] for _ in range(2)] == [b"a", b"b"]
    assert window.next() is None and window.is_full
    assert window.heard(Taken(0, 2, 0, False))
    window.back()
    message, again = window.next()
    assert again and Part.unpack(message.payload) == Part(1, 1, 1, b"b")
    assert window.heard(Taken(2, 2, 1, False))
    assert Part.unpack(window.next()[0].payload).codes == b"c"
    assert 1 in window
    assert window.heard(Taken(3, 3, 1, False))
    assert 1 not in window and not window.waits and window.is_sent


@pytest.mark.parametrize("payload", [b"", b"abc", b"abcde"])
def test_what_says_nothing_is_refused(payload):
    with pytest.raises(ValueError, match=f"TAKEN must have 4 bytes, not {len(payload)}"):
        Taken.unpack(payload)


def test_parts_come_back_as_they_were():
    part = Part(70_000, 255, 3, b"codes")
    assert Part.unpack(part.pack()) == part
    assert len(part.pack()) == 6 + 5
    with pytest.raises(ValueError, match="it must have 6 bytes, not 5"):
        Part.unpack(b"12345")
    assert result_part(b"\1\0\1\0xy") == (65537, b"xy")
    with pytest.raises(ValueError, match="must have 4 bytes, not 3"):
        result_part(b"abc")
