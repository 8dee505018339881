"""The pooled vector of a classifier, the input of its head: which parts it has, in which order.

Keras, the ONNX graph and the forward pass in NumPy build the vector in this order.
"""

from __future__ import annotations

from lstm_cli.config.schema import ModelSettings

LSTM = "lstm"


def region_layer(width: int) -> str:
    """Return the name of the layer, and of the part, of the regions of one width."""
    return f"regions_{width}"


def pooled_parts(settings: ModelSettings) -> dict[str, slice]:
    """Return the place of each part in the pooled vector by its name, in order.

    `lstm` has the pooled outputs of the last LSTM layer; each `regions_WIDTH` has the features of
    the regions of one width.
    """
    pools = 2 if settings.pooling == "max_mean" else 1
    directions = 2 if settings.bidirectional else 1
    widths = {LSTM: pools * directions * settings.units}
    widths |= {region_layer(width): settings.region_units for width in settings.regions}
    parts, start = {}, 0
    for name, width in widths.items():
        parts[name] = slice(start, start + width)
        start += width
    return parts


def pooled_width(settings: ModelSettings) -> int:
    """Return the number of values in the pooled vector."""
    return int(max(part.stop for part in pooled_parts(settings).values()))
