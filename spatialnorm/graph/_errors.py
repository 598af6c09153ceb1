"""What can be wrong with a graph."""


class GraphError(ValueError):
    """A graph, its JSON text, or the arrays it is run on break a rule; the message names node or handle."""


class ParameterMismatchWarning(UserWarning):
    """A gradient node's parameters are not those of the forward node that its state comes from."""
