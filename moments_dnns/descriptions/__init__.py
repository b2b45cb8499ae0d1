"""Frozen, checked values that decide the numbers of a result. No Keras here.

From the ground up, each module knowing those before it only:

    choices, boundaries, function_hash    named values that layers check too; pixels beyond the border; lambdas as text
    base, keras_objects                   what all descriptions have; activations and initializers as text
    steps                                 what a layer is made of
    architecture, characterization        a layer, from its steps; the layers of a Keras model
    experiment                            a random network, its data, and how often it is drawn
"""
