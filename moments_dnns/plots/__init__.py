"""Figures: what they show as data, and how it is drawn.

| module | has |
|---|---|
| `experiments`, `models` | the plot functions: of experiments, and of characterized models |
| `figures` | the panels and curves of the paper's figures 2 to 5, and of the figure of a model |
| `architectures`, `summary` | the panels and curves that follow from an architecture, and from the arrays there are |
| `specs` | `Drawing`, `Panel`, `Curve`: what these are made of |
| `arrays` | the arrays that a figure draws, as logarithms |
| `panels`, `curves`, `histograms`, `ticks`, `style` | how it is drawn |
| `theory_overlay`, `theory_lines` | theory beside measured curves: what is computed, and how it is drawn |
| `pruning` | an experiment keeps the arrays that a figure draws |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
