"""Moments with what they are, and the folders that keep them.

From the ground up, each module knowing those before it only:

    files, folders, provenance    durable files; where experiments lie, and locks; versions and times
    sources, record               which realizations; what `experiment.json` says
    moments, transactions         the arrays of a result in memory; how they change on a disk
    history                       results along the training of a model
    allocation                    the arrays of an experiment that is being run
    interruption                  what Ctrl-C and SIGTERM leave, in words
    experiments, writers          what is done to saved experiments; where a run puts its realizations
"""
