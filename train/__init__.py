"""Training of sparse, low-bit networks, and their way out as QONNX. The only part with torch."""
from .prepare import prepare
from .squantizer import SQuantizer
from .uniform import Uniform
from .qat import QAT
from .freeze import freeze
from .frozen import Frozen
from .export import check, export, to_qonnx
from .taylor import Taylor
from .prune import Magnitude, Random
from .bsq import BSQ
from .dfq import DFQ
