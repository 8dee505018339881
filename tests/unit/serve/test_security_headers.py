from __future__ import annotations

from lstm_cli.serve import security_headers


def test_content_security_policy_allows_only_own_scripts():
    html = "<style>a{}</style><script>1</script>"
    policy = security_headers.content_security_policy(html)
    # printf 1 | openssl dgst -sha256 -binary | base64
    assert "script-src 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s='" in policy
    assert policy.count("sha256-") == 2
