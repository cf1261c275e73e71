"""Alerts: who was not there is told how a command ended, through Apprise.

A child process delivers them, since a server that drips a byte a second outlasts every time-out of
a library: the child is killed when the time is over, and nothing of it is left behind. What it has
to know, addresses and all, goes to it through a pipe, never as an argument or in the environment.

What goes by HTTP goes through the proxies that the environment names, never for loopback, and
without ``~/.netrc`` (requests heeds both by itself: "Proxies" and "netrc Authentication" in its
documentation). A redirect is not followed unless the address says ``?redirect=yes``: a GET takes
the place of the POST, and its answer looks like a delivery. Certificates are checked against those
that requests brings, or ``REQUESTS_CA_BUNDLE`` names. Nothing is kept on the disk.

=========  ==============================================================
addresses  texts in, services of Apprise out; nothing is left out in silence
telling    which addresses, and how an ending is told to them
child      the process that delivers
=========  ==============================================================
"""

from batch.alerts.addresses import SHORTEST_SECRET
from batch.alerts.telling import Alerts

__all__ = ["SHORTEST_SECRET", "Alerts"]
