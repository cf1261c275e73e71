"""The suite: a folder for each room of ``batch``, and what looks at several of them.

- ``api`` … ``sandbox``: one room each; a file ``test_x`` is about its module ``x``, or about one
  matter of several; ``test_errors`` and its neighbours: the modules beside the rooms;
- ``commands``: whole commands in this process, against a sandbox on a thread;
- ``end_to_end``: the command in a process of its own, with real sockets, signals and disks;
- ``project``: the repository itself: documents, samples, architecture, speed, this suite;
- ``support``: what the tests are written with, and tests of that;
- ``fixtures``, ``cases``, ``mails``: files to read, and mails as cron sends them.
"""
