"""When a refused PATCH stops the run, since changes are not let through at all.

A token that may not write, and a gateway that admits reading only, refuse every license alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.errors import StoppedError, in_front

if TYPE_CHECKING:
    from batch.api.retry import Attempts
    from batch.errors import ForeignError, RejectedError


FOREIGN_IN_A_ROW = 5
"""Probes, or licenses without one changed in between, that somebody in front of the API has
refused in a row, after which the run stops."""

FORBIDDEN_IN_A_ROW = 5
"""403 answers to a PATCH, in a row, that are about the token and not about the license."""


@dataclass(slots=True)
class Access:
    """Counts the PATCH requests of a run that were refused since one was applied.

    Attributes:
        has_confirmed: A PATCH was applied in this run: somebody lets them through.
    """

    has_confirmed: bool = False
    _forbidden: int = 0
    _blocked: int = 0

    def confirmed(self) -> None:
        """A PATCH was applied: this token can write."""
        self.has_confirmed = True
        self._forbidden = self._blocked = 0

    def forbidden(self, error: RejectedError) -> None:
        """A PATCH was answered with 403.

        Raises:
            StoppedError: The token, not the license, is the reason.
        """
        self._forbidden += 1
        if not self.has_confirmed or self._forbidden >= FORBIDDEN_IN_A_ROW:
            who = "the token" if error.from_api else "the token, or something in front of the API,"
            raise StoppedError(
                f"{who} may not change licenses",
                about=error,
                hint="use a token with the scope license:write.",
            )

    def blocked(self, attempts: Attempts, error: ForeignError) -> None:
        """Somebody in front of the API has refused a request, though the server was not down.

        A license counts once. Reading may be let through, and would end each outage.

        Raises:
            StoppedError: Changes are not let through any more.
        """
        self._blocked += self.has_confirmed and not attempts.forgiven
        if self._blocked >= FOREIGN_IN_A_ROW:
            raise in_front(error, reached=True, changes=True).becomes(StoppedError)
