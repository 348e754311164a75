"""Networks to train: plain modules of torch, none of which knows about compression."""

from .mobilenet import mobilenet_v2
from .objects import objects
from .resnet import resnet18, resnet20, resnet50
from .small import demo, vgg
from .yolo import yolov3, yolov3_tiny

__all__ = [
    "demo", "mobilenet_v2", "objects", "resnet18", "resnet20", "resnet50", "vgg", "yolov3",
    "yolov3_tiny",
]  # fmt: skip
