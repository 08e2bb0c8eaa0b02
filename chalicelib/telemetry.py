"""Tocsin's own errors to Sentry, if SENTRY_DSN is set. Loads sentry_sdk: workers only, and only when there is one.

No integrations, no local variables, no request bodies, and no texts of errors, since those may quote a payload: the
kind and the place of an error are what is sent.
"""

from typing import Any

import sentry_sdk

FLUSH_SECONDS = 2.0


def capture(error: BaseException, dsn: str, stage: str) -> None:
    """Send the error and wait shortly until it is out, since Lambda freezes the process afterwards."""
    if not sentry_sdk.get_client().is_active():
        sentry_sdk.init(
            dsn=dsn,
            environment=stage,
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            send_default_pii=False,
            max_request_body_size="never",
            before_send=without_texts,
        )
    sentry_sdk.capture_exception(error)
    sentry_sdk.flush(FLUSH_SECONDS)


def without_texts(event: Any, hint: Any) -> Any:
    """Return the event without the texts of its errors and without breadcrumbs."""
    for value in event.get("exception", {}).get("values", []):
        value["value"] = ""
    event.pop("breadcrumbs", None)
    return event
