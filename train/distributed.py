"""Training in several processes, started by ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

__all__ = ["barrier", "first", "group"]


@contextmanager
def group(device: str) -> Iterator[None]:
    """The process group that ``torchrun`` started us for; nothing where it did not.

    ``WORLD_SIZE`` is torchrun's way of saying so. Processes on GPUs use NCCL, others gloo.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    if device.startswith("cuda"):
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        yield
        dist.barrier()  # gloo aborts a process that is gone while another still talks to it
    finally:
        dist.destroy_process_group()


def first() -> bool:
    """Whether this process is the one that writes."""
    return not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0


def barrier() -> None:
    """Wait for the others."""
    if dist.is_available() and dist.is_initialized():
        dist.barrier()
