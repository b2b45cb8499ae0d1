from .derived import drawing_of as drawing_of
from .derived import summary_drawing as summary_drawing
from .experiments import plot_figure as plot_figure
from .figures import FIGURES as FIGURES
from .specs import Curve as Curve
from .specs import Drawing as Drawing
from .specs import Panel as Panel
