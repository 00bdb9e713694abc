"""Modifiers: graph to graph, for any cell. Each is a file; they compose, and the result is a cell like any other.

>>> import lstmgraph as lg
>>> lg.transforms.zoneout(lg.transforms.peephole(lg.cells.lstm), h=0.05, c=0.5).name
'zoneout_peephole_lstm'
"""

from lstmgraph.transforms.clip_gradients import clip_gradients
from lstmgraph.transforms.clip_states import clip_states
from lstmgraph.transforms.couple import couple
from lstmgraph.transforms.diagonal import diagonal
from lstmgraph.transforms.drop_connect import drop_connect
from lstmgraph.transforms.dropout import input_dropout, recurrent_dropout
from lstmgraph.transforms.highway import highway
from lstmgraph.transforms.layer_norm import layer_norm
from lstmgraph.transforms.learned_initial_state import learned_initial_state
from lstmgraph.transforms.low_rank import low_rank
from lstmgraph.transforms.multiplicative import multiplicative
from lstmgraph.transforms.outputs import outputs
from lstmgraph.transforms.peephole import peephole
from lstmgraph.transforms.projection import projection
from lstmgraph.transforms.residual import residual
from lstmgraph.transforms.weight_norm import weight_norm
from lstmgraph.transforms.without_activation import without_activation
from lstmgraph.transforms.without_gate import without_gate
from lstmgraph.transforms.zoneout import zoneout

__all__ = [
    "clip_gradients",
    "clip_states",
    "couple",
    "diagonal",
    "drop_connect",
    "highway",
    "input_dropout",
    "layer_norm",
    "learned_initial_state",
    "low_rank",
    "multiplicative",
    "outputs",
    "peephole",
    "projection",
    "recurrent_dropout",
    "residual",
    "weight_norm",
    "without_activation",
    "without_gate",
    "zoneout",
]
