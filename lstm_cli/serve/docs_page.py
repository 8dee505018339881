"""The page at `/docs`: the OpenAPI document as HTML without scripts.

Built without Jinja2, which is not installed where a run is only served.
"""

from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:0}"
    "main{max-width:48rem;margin:auto;padding:1rem}pre{overflow-x:auto;padding:.8rem;"
    "border:1px solid #8888;border-radius:.4rem;font-size:.85rem;max-height:28rem}"
    "td,th{text-align:left;padding:.1rem 1rem .1rem 0;vertical-align:top}"
    "h2{margin-top:2.2rem;overflow-wrap:anywhere}summary{cursor:pointer}"
)
_JSON = "application/json"
# How much of a long list is shown.
_NUM_SCALARS, _NUM_OBJECTS = 6, 2


def render(document: Mapping[str, Any], curl_url: str, has_key: bool) -> str:
    """Return an OpenAPI document as one HTML page.

    Args:
        document: The document.
        curl_url: What `curl` needs to reach the server, before the path, as typed in a shell.
        has_key: Whether clients must send an API key.
    """
    title = _escape(document["info"]["title"])
    key = ' -H "Authorization: Bearer $LSTM_API_KEY"' if has_key else ""
    paths = [(path, *next(iter(methods.items()))) for path, methods in document["paths"].items()]
    contents = [
        f'<tr><td>{method.upper()}</td><td><a href="#{_escape(path)}">{_escape(path)}</a></td>'
        f"<td>{_escape(operation['summary'])}</td></tr>"
        for path, method, operation in paths
    ]
    operations = [
        _operation(path, method, operation, curl_url, "" if _is_open(operation) else key)
        for path, method, operation in paths
    ]
    schemas = [
        f'<details id="{_escape(name)}"><summary>{_escape(name)}</summary>'
        f"<pre>{_escape(json.dumps(schema, indent=2))}</pre></details>"
        for name, schema in document["components"]["schemas"].items()
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head><body><main>'
        f"<h1>{title}</h1><p>{_with_code(document['info']['description'])}</p>"
        f"<pre>{_escape(_format(document['components']['schemas']['ErrorResponse']['examples'][0]))}"
        "</pre>"
        '<p><a href="/openapi.json">This document as JSON</a>. '
        '<a href="/">A page to try the run</a>.</p>'
        f"<table>{''.join(contents)}</table>{''.join(operations)}"
        f"<h2>Schemas</h2>{''.join(schemas)}</main></body></html>"
    )


def _is_open(operation: Mapping[str, Any]) -> bool:
    """Return whether an operation needs no API key, whatever the others need."""
    return operation.get("security") == []


def _operation(
    path: str, method: str, operation: Mapping[str, Any], curl_url: str, key: str
) -> str:
    body, examples = "", [f"<pre>{_escape(f'curl{key} {curl_url}{path}')}</pre>"]
    if "requestBody" in operation:
        request = operation["requestBody"]["content"][_JSON]
        answer = operation["responses"]["200"]["content"][_JSON]
        body = f"<p>Body: {_link(request['schema'])}. Answer: {_link(answer['schema'])}.</p>"
        examples = [
            _example(f"curl{key} {curl_url}{path}", title, value["value"], answer["examples"])
            for title, value in request["examples"].items()
        ]
    rows = [
        f"<tr><td>{_escape(status)}</td><td>{_escape(response['description'])}</td></tr>"
        for status, response in operation["responses"].items()
    ]
    return (
        f'<h2 id="{_escape(path)}"><code>{method.upper()} {_escape(path)}</code></h2>'
        f"<p>{_escape(operation['summary'])}</p>{body}{''.join(examples)}"
        f"<details><summary>Statuses</summary><table>{''.join(rows)}</table></details>"
    )


def _example(command: str, title: str, request: Any, answers: Mapping[str, Any]) -> str:
    """Return a request as a command for a shell, and its answer."""
    call = f"{command} \\\n  --json {shlex.quote(_compact(request))}"
    return (
        f"<h3>{_escape(title.capitalize())}</h3><pre>{_escape(call)}</pre>"
        f"<pre>{_escape(_format(answers[title]['value']))}</pre>"
    )


def _link(schema: Mapping[str, Any]) -> str:
    name = _escape(schema["$ref"].rpartition("/")[2])
    return f'<a href="#{name}">{name}</a>'


def _format(value: Any, indent: str = "") -> str:
    """Return JSON over several lines; long lists are cut at "…", numbers rounded."""
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        parts = [f"{_compact(name)}: {_format(part, deeper)}" for name, part in value.items()]
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        parts = [_format(part, deeper) for part in value[:_NUM_OBJECTS]]
        parts += ["…"] if len(value) > _NUM_OBJECTS else []
    else:
        return _compact(value)
    brackets = "{}" if isinstance(value, dict) else "[]"
    lines = f",\n{deeper}".join(parts)
    return f"{brackets[0]}\n{deeper}{lines}\n{indent}{brackets[1]}"


def _compact(value: Any) -> str:
    """Return JSON on one line; long lists are cut at "…", numbers rounded."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_compact(k)}: {_compact(v)}' for k, v in value.items())}}}"
    if isinstance(value, list):
        parts = [_compact(part) for part in value[:_NUM_SCALARS]]
        parts += ["…"] if len(value) > _NUM_SCALARS else []
        return f"[{', '.join(parts)}]"
    if isinstance(value, float):
        return f"{value:.4g}"
    return json.dumps(value, ensure_ascii=False)


def _with_code(text: str) -> str:
    """Return text as HTML, with what stands between backquotes as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", _escape(text))


def _escape(value: object) -> str:
    return html.escape(str(value))
