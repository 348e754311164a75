"""Networks to train: plain modules of torch, none of which knows about compression."""

from .resnet import resnet18, resnet20, resnet50

__all__ = ["resnet18", "resnet20", "resnet50"]
