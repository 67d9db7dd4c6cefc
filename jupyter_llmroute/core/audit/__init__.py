"""The audit log: what was asked, decided, sent and answered, in a chain of hashes that shows every later change.

`record` says what is written, `journal` makes records of what happens, `basis` keeps what a decision was taken on,
`chain` seals one line to the one before, `folder` names the files, `log` writes them, `verify` reads them again, and
`replay` takes each decision once more.

What the chain promises. Whoever changes, removes, moves or inserts a record without the hashes that follow is found.
The head file holds the number and the hash of the last record, so that a cut end is found too. Who may write the log
and the head, and that is the user's own account and the administrator's, can write both anew as they like: against
them only a copy of number and hash that is kept elsewhere helps (`audit verify` prints it, and compares it with
`--anchor`).
"""
