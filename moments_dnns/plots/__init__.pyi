from .architectures import drawing_of as drawing_of
from .experiments import plot_figure as plot_figure
from .figures import FIGURES as FIGURES
from .specs import Curve as Curve
from .specs import Drawing as Drawing
from .specs import Panel as Panel
from .summary import summary_drawing as summary_drawing
