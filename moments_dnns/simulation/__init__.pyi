from .network import build_network as build_network
from .network import num_seeds as num_seeds
