"""Any Keras model: signal and noise along its layers."""

import moments_dnns._backend

moments_dnns._backend.check_installed()
