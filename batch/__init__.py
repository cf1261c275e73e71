"""bulk-revoke: revoke every license that a spreadsheet lists, exactly those, provably.

The modules, in the order in which the data travels::

    cli          options in, exit code out; one module per command
    settings     what a run is set to, and where the token comes from
    address      the base URL, and the proxy on the way to it
    phases       read, plan, ask, act: a run from its input to its summary
    tables       a file of any format  ->  rows of text
    source       rows                  ->  Listing: which licenses are meant
    plan         Listing and guards    ->  Plan: what is sent
    preview      Plan                  ->  text, before the
    question     on the terminal
    session      everything that acting needs, wired once
    interrupts   the first signal stops the run, the second ends the process
    job          licenses              ->  a Status for each: send, retry, stop, settle
    client       one request           ->  one License or one ApiError
    answers      status and body       ->  the same, as a pure function
    verdict      tries, last answer    ->  Status
    gate         when the next request may leave
    retry        what one license, and all together, may cost
    health       when everybody waits, and when the run gives up
    results      Status                ->  a line of the results file
    ledger       the finished file read back, counted
    manifest     who ran what, when and why
    summary      counts                ->  exit code, and what a person reads at the end
    progress     the bar and the lines while it goes on
    logs         JSON lines for machines
    sandbox      a local API to rehearse against; imports nothing of the others

`model`, `errors`, `clock` and `text` are the vocabulary of all of them; `replace` writes files that
are whole or not there.
"""

__version__ = "0.1.0"
