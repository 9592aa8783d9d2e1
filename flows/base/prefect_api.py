"""Check a configured Prefect API before the work begins: one line if it cannot be used."""

from __future__ import annotations

from flows.base.faults import prefect_api
from landmark_ops.errors import RunError
from landmark_ops.wording import one_line

SECONDS = 10.0  # for each of two answers


def check_api() -> None:
    """RunError where the configured API cannot be reached, refuses us, or is none of ours."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_REQUEST_TIMEOUT, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    try:
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1, PREFECT_API_REQUEST_TIMEOUT: SECONDS}),
            get_client(sync_client=True) as client,
        ):
            client.api_version()
            client.raise_for_api_version_mismatch()
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise _failure(f"refuses us ({status}): set PREFECT_API_KEY or PREFECT_API_AUTH_STRING") from error
        raise _failure(f"answers {status}") from error
    except httpx.HTTPError as error:
        raise _failure(f"cannot be reached ({one_line(error, 160) or type(error).__name__})") from error
    except RuntimeError as error:  # of another version
        raise _failure(f"cannot be used ({one_line(error, 200)})") from error
    except (ValueError, OSError, ImportError, httpx.InvalidURL) as error:
        raise _failure(f"answers as none does ({one_line(error, 160)})") from error


def _failure(cause: str) -> RunError:
    return RunError(": ".join(prefect_api(cause)[:2]))
