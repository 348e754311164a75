"""The link between a host and a network on a board: messages over a serial line."""
