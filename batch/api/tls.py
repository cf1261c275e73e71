"""From a failed TLS handshake to an error that says what is wrong, and who can mend it.

Nobody mends a certificate, or an old version of TLS, by waiting. What else a server objects to may
pass, such as while it is set up anew. Names and numbers are those of OpenSSL: ``x509_vfy.h`` for
certificates, ``sslerr.h`` for the rest; an alert's name begins with the version that brought it.
"""

from __future__ import annotations

import ssl

from batch.errors import AccessError, ApiError, TransientError

_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_HOST = frozenset({62, 64})
_UNTRUSTED = frozenset({2, 18, 19, 20, 21})

_ALERTS = ("TLSV1_", "TLSV13_", "SSLV3_ALERT_")

_NO_TLS = frozenset({"WRONG_VERSION_NUMBER"})
_TOO_OLD = frozenset({
    "TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION",
    "TLSV1_ALERT_INSUFFICIENT_SECURITY", "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
    "DH_KEY_TOO_SMALL",
})  # fmt: skip
_REFUSALS = frozenset({"SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_ACCESS_DENIED"})


def tls_error(cause: BaseException) -> ssl.SSLError | None:
    """The TLS error behind an exception, in whatever that is wrapped.

    Some wrappers of aiohttp are TLS errors themselves, and say less: the innermost counts.
    """
    found: ssl.SSLError | None = None
    each: BaseException | None = cause
    while each is not None:
        found = each if isinstance(each, ssl.SSLError) else found
        each = each.__cause__
    return found


def tls_failure(cause: ssl.SSLError, place: str, setting: str) -> ApiError:
    """Return the error that a TLS error means.

    Args:
        cause: The error of OpenSSL.
        place: The host that it is about, as messages name it.
        setting: The setting that names that host.
    """
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _of_certificate(cause, place, setting)
    reason = cause.reason or ""
    if reason in _NO_TLS:
        return AccessError(
            f"{place} does not speak TLS", code="tls", hint=f"is the port in {setting} right?"
        )
    if reason in _TOO_OLD:
        said = "speaks no TLS that is safe"
        hint = "whoever runs it has to allow TLS 1.2 or later, with the ciphers of today."
    elif reason.startswith(_ALERTS) and ("CERTIFICATE" in reason or reason.endswith("UNKNOWN_CA")):
        # We show none, so it cannot be about one of ours.
        said = "asks for a client certificate"
        hint = "bulk-revoke has none to show: it needs a way to the API that asks for none."
    elif reason in _REFUSALS:
        said = "refuses to speak TLS with us"
        hint = "it may ask for a client certificate, or allow other ciphers; its log says why."
    elif reason.startswith(_ALERTS):
        error = TransientError(
            f"{place} ends the TLS handshake ({_spelled(reason)})",
            code="tls",
            hint=f"is the host in {setting} right? The log of the server says why.",
        )
        error.lasting = True
        return error
    else:
        return TransientError(f"no TLS with {place} ({_spelled(reason)})", code="tls")
    return AccessError(f"{place} {said} ({_spelled(reason)})", code="tls", hint=hint)


def _of_certificate(cause: ssl.SSLCertVerificationError, place: str, setting: str) -> ApiError:
    code = getattr(cause, "verify_code", 0)
    if code == _NOT_YET_VALID:
        return TransientError(
            f"the certificate of {place} is not valid yet",
            code="tls",
            hint="is the clock of this machine right?",
        )
    if code == _EXPIRED:
        said = "has expired"
        hint = "is the clock of this machine right? Then whoever runs it has to renew it."
    elif code in _OTHER_HOST:
        said = "is for another host"
        hint = f"is the host in {setting} the one that the certificate names?"
    elif code in _UNTRUSTED:
        said = f"is not trusted ({cause.verify_message})"
        hint = "if its authority is a private one, name that with --ca-file."
    else:
        said = f"cannot be accepted ({getattr(cause, 'verify_message', 'no reason given')})"
        hint = "whoever runs it has to replace it."
    return AccessError(f"the certificate of {place} {said}", code="tls", hint=hint)


def _spelled(reason: str) -> str:
    """A name of OpenSSL as people read it: ``TLSV1_ALERT_PROTOCOL_VERSION``, protocol version."""
    for prefix in _ALERTS:
        reason = reason.removeprefix(prefix)
    return reason.removeprefix("ALERT_").replace("_", " ").lower() or "no reason given"
