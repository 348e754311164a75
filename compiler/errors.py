"""What goes wrong with a network or a build folder, in one line each."""

__all__ = ["BuildError", "CompileError"]


class CompileError(ValueError):
    """A network that cannot be mapped; names the node, the rule, the value and what to do."""


class BuildError(ValueError):
    """A build folder that is incomplete, changed, or from another version."""
