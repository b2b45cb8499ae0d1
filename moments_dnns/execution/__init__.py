"""Who computes realizations, here or elsewhere, and how they come together: for experiments and for models alike."""
