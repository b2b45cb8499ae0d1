"""Frozen, checked values that decide the numbers of a result. No Keras here.

| module | has |
|---|---|
| `experiment` | `Experiment`: a random network, its data, and the number of realizations |
| `architecture`, `steps` | `Architecture`: the layers of a random network; `Step`: what a layer is made of |
| `characterization` | `Characterization`: a Keras model, and what was measured along its layers |
| `base` | `Description`: what both kinds of results have in common |
| `parameters` | fields with a check and a meaning, from which docstrings and the command line follow |
| `choices`, `boundaries` | the values that text parameters may have; the pixels that convolutions read |
| `keras_objects`, `function_hash` | activations and initializers as text |
| `pickling` | those that other processes cannot import, as bytes |
"""
