"""bulk-revoke: revoke every license that a spreadsheet lists, exactly those, provably.

The modules, in the order in which the data travels::

    cli          options in, exit code out; one module per command
    settings     what a run is set to
    token        where the access token comes from, and what it says of itself
    address      the base URL, and the proxy on the way to it
    phases       read, look, plan, ask, act: a run from its input to its summary
    inputs       what a command is about
    tables       a file of any format  ->  rows of text
    source       rows                  ->  Listing: which licenses are meant
    revoked      results of a run      ->  Listing: what a restore is about
    lock         no two runs on one host at a time
    destination  what stands where the results go: gone on with, set aside, or refused
    recorded     a results file read back, finished or not
    session      everything that talking to the server needs, wired once
    interrupts   the first signal stops the run, the second ends the process
    look         licenses              ->  Seen: what the server holds
    keys         license keys, many to a request
    plan         Listing, Seen, guards ->  Plan: what becomes of each row
    preview      Plan                  ->  text, before the
    question     on the terminal
    job          licenses              ->  a Status for each: send, retry, stop, settle
    sender       requests one after another: judged, waited for, stopped together
    client       one request           ->  one License, one Page or one ApiError
    answers      status and body       ->  the same, as a pure function
    verdict      tries, last answer    ->  Status
    gate         when the next request may leave
    retry        what one license, and all together, may cost
    health       when everybody waits, and when the run gives up
    results      Status                ->  a line of the results file
    closing      the end of a run: order, manifest, summary
    ledger       the finished file read back, counted
    manifest     who ran what, when and why
    summary      counts                ->  exit code, and what a person reads at the end
    ending       the same for those who were not there:
    alerts       to them, through Apprise
    metrics      to Prometheus, in a file
    unchanged    are the files of a run still those that it saw?
    progress     the bar and the lines while it goes on
    logs         JSON lines for machines
    sandbox      a local API to rehearse against; imports nothing of the others
    rehearsal    what that API has to know

`model`, `seen`, `columns`, `errors`, `clock` and `text` are the vocabulary of all of them;
`replace` writes files that are whole or not there.
"""

__version__ = "0.1.0"
