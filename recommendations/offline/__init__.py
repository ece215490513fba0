"""Quality on files alone: no database, no catalog, no clock but that of the files.

Each protocol is a module with a `task` that turns files into an `offline.task.Task`; `protocols`
tells by the columns which it is, `evaluation` does the rest.
"""
