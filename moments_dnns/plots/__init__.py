"""Figures: their content as data, and the functions that draw it.

| module | has |
|---|---|
| `experiments`, `models`, `widths` | the plot functions: of experiments, of characterized models, of several widths |
| `figures` | the panels and curves of the paper's figures 2 to 5, and of the figure of a model |
| `architectures`, `summary` | the panels and curves that follow from an architecture, and from the arrays there are |
| `pages` | `report`, a page of HTML |
| `specs` | `Drawing`, `Panel`, `Curve`: the data that these are |
| `arrays` | the arrays that a figure draws, as logarithms |
| `panels`, `curves`, `histograms`, `ticks`, `style` | drawing with Matplotlib |
| `theory_overlay`, `theory_lines` | theory beside measured curves: its numbers, and its lines |
| `pruning` | `prune_experiment`, which keeps only the arrays that a figure draws |
| `docstrings` | the parts that the docstrings of all plot functions share |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
