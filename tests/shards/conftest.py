from __future__ import annotations

from tests.s3_server import hasty, s3_bucket, s3_proxy, s3_server  # noqa: F401  fixtures
