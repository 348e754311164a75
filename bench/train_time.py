"""What a training step of each method takes: seconds and peak memory, ResNet-20, batch 128."""

from __future__ import annotations

import datetime
import multiprocessing
import resource
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from sqwire import train

BATCH, STEPS, WARM = 128, 8, 2


def steps() -> Iterator[dict[str, Any]]:
    """A row for plain float and for each method, while it trains compressed from the first step."""
    methods = [
        None, train.SQuantizer(), train.Taylor(end=1e6, quantize=1e6),
        train.BSQ(search=1e6, interval=1e6), train.DFQ(search=1e6), train.Uniform(),
    ]  # fmt: skip
    # Peak memory is that of a process, so each has one of its own.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as processes:
        yield from processes.imap(_measure, methods)


def _measure(method: Any) -> dict[str, Any]:
    torch.set_num_threads(1)
    x = torch.randint(-128, 128, (BATCH, 3, 32, 32)).float() / 64
    x = x.contiguous(memory_format=torch.channels_last)
    label = torch.randint(0, 10, (BATCH,))
    model = train.networks.resnet20()
    grid = {"input_bits": 8, "input_scale": 1 / 64, "input_signed": True}
    net: Any = model if method is None else train.prepare(model, method, x[:16], **grid)
    net.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    times = []
    for _ in range(STEPS):
        start = time.process_time()
        loss = torch.nn.functional.cross_entropy(net(x), label)
        loss = loss if method is None else net.loss(loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if method is not None:
            net.step()
        times.append(time.process_time() - start)
    return {
        "config": type(method).__name__,
        "cpu_seconds_a_step": float(np.median(times[WARM:])),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
