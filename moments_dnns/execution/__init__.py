"""Who computes realizations, here or elsewhere, and how they come together: for experiments and for models alike.

| module | has |
|---|---|
| `options` | `RunOptions`: where a result is saved, who computes it, when it ends |
| `engine` | who computes: this process, workers, or an executor of the user's, and on what device |
| `pool` | the processes of this machine |
| `chunks`, `dispatch` | finished realizations; how they are handed out, and tried again |
| `collection` | how they are counted, shown and committed |
"""
