"""Any Keras model: signal and noise along its layers."""
