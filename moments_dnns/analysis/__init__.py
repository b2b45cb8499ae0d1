"""Analysis of measured moments: statistics, power laws, verdicts, and a comparison with the published numbers.

| module | answers |
|---|---|
| `diagnosis` | can this network be trained, is it pathological? (`diagnose`) |
| `causes` | and which layers of a model are to blame? |
| `verdicts`, `measures` | by which thresholds, and from which numbers? |
| `power_laws` | with which power of depth does the sensitivity of a residual network grow? |
| `model_layers` | which layers of a characterized model amplify the noise? (`layer_summary`) |
| `widths` | how do its moments scale with the width of a model? |
| `published` | how far is an experiment from the numbers of the paper? |
| `statistics` | means, bands, intervals, histograms and slopes |
| `arrays` | checks of the arrays that all of these take |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
