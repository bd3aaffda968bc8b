from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from insights.feature_table import FEATURE_NAMES
from local.dashboard import Dashboard, DashboardFailed, PageConfig, page_file
from local.processes import free_port

PAGE = Path(__file__).resolve().parent.parent.parent / "dashboard"
CONFIG = PageConfig("http://127.0.0.1:1/v1", "http://127.0.0.1:2", "client")


def fetched(url: str) -> tuple[int, Message, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers, refused.read()


def policy_of(template: Mapping[str, Any]) -> dict[str, str]:
    """The headers that CloudFront sets, with the sign-in's domain, known at deployment only, as {connect}."""
    [resource] = [r for r in template["Resources"].values() if r["Type"] == "AWS::CloudFront::ResponseHeadersPolicy"]
    config = resource["Properties"]["ResponseHeadersPolicyConfig"]
    security = config["SecurityHeadersConfig"]
    parts = security["ContentSecurityPolicy"]["ContentSecurityPolicy"]["Fn::Join"][1]
    transport = security["StrictTransportSecurity"]
    return {
        "Content-Security-Policy": re.sub(
            r"https://\{\}\.auth\.[\w.-]+com", "{connect}", "".join(p if isinstance(p, str) else "{}" for p in parts)
        ),
        "Strict-Transport-Security": f"max-age={transport['AccessControlMaxAgeSec']}; includeSubDomains",
        "X-Content-Type-Options": "nosniff" if security["ContentTypeOptions"]["Override"] else "",
        "X-Frame-Options": security["FrameOptions"]["FrameOption"],
        "Referrer-Policy": security["ReferrerPolicy"]["ReferrerPolicy"],
        **{item["Header"]: item["Value"] for item in config["CustomHeadersConfig"]["Items"]},
    }


def test_the_laptop_sends_the_headers_that_cloudfront_sends(synthesise):
    with Dashboard(CONFIG, port=0) as page:
        status, headers, _ = fetched(page.url)
    aws = policy_of(synthesise(stage="dev").templates["IopsDashboard"])

    assert status == 200
    expected = {
        name: value.replace("{connect}", "http://127.0.0.1:1 http://127.0.0.1:2") for name, value in aws.items()
    }
    assert {name: headers[name] for name in expected} == expected
    assert "unsafe" not in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    ["/../README.md", "/%2e%2e/README.md", "/headers.json", "/uplot/../../package.json", "/nothing.js", "//etc/passwd"],
)
def test_nothing_but_the_page_is_served(path: str):
    assert page_file(path) is None
    with Dashboard(CONFIG, port=0) as page:
        assert fetched(page.url.rstrip("/") + path)[0] == 404


def test_a_taken_port_is_refused_with_the_remedy():
    port = free_port()
    with Dashboard(CONFIG, port=port), pytest.raises(DashboardFailed, match=f"port {port}.*DASHBOARD_PORT"):
        Dashboard(CONFIG, port=port)


def test_every_file_that_the_page_names_is_there():
    named = set(re.findall(r'(?:src|href)="([^"#]+)"', (PAGE / "index.html").read_text()))
    for module in PAGE.glob("*.js"):
        named |= set(re.findall(r'from "\./([\w.]+)"', module.read_text()))

    assert {name for name in named if page_file(f"/{name}") is None} == set()
    assert {path.name for path in PAGE.glob("*.js")} == {
        name for name in named if name.endswith(".js") and "/" not in name
    }


def test_no_module_makes_elements_out_of_text():
    assert [
        p.name
        for p in PAGE.glob("*.js")
        if re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", p.read_text())
    ] == []


def test_the_page_has_words_for_exactly_the_features_of_the_table():
    names = re.findall(r"^  (\w+): \[", (PAGE / "features.js").read_text(), flags=re.MULTILINE)
    assert names == list(FEATURE_NAMES)
