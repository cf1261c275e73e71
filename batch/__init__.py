"""bulk-revoke: revoke every license that a spreadsheet lists, exactly those, provably.

The rooms of the house, each below those that may use it::

    cli         command line and profile in, exit code out
    job         the steps of a run: targets, look, plan, preview, execute, finish
    results     the journal, the results CSV, the manifest
    reporting   how a run is told: summary, progress, log, metrics, alerts
    settings    what a run is set to
    api         one request: paced, sent again where that is safe, its answer checked
    input       a file of any format in, a list of licenses out
    host        what the machine gives: lock, signals, terminal, files, clock
    license_object  how files tell of a license object
    formatting  text, numbers and moments for people and files
    columns     the columns of a results file
    errors      what can go wrong, by what happens next
    model       what a license, an action and the result of a row are

`sandbox` stands apart: a license API to rehearse against, which imports nothing of the others.
docs/architecture.md follows a row through the rooms.
"""

__version__ = "0.1.0"
