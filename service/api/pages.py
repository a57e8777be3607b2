"""The API's description as a page that needs no network: FastAPI's own loads its scripts from elsewhere."""

import json
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}"
    "h2{font-size:1rem;font-family:monospace;margin:2rem 0 .25rem}b{color:#0b5394}"
    "td,th{text-align:left;vertical-align:top;padding:.15rem 1rem .15rem 0}"
    "pre{background:#f4f4f4;padding:.75rem;overflow:auto}details{margin:.5rem 0}"
)


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    """Every operation with its parameters, answers and examples."""
    description = request.app.openapi()
    schemas = description.get("components", {}).get("schemas", {})
    operations = "".join(
        _operation(path, verb, operation, schemas)
        for path, verbs in description["paths"].items()
        for verb, operation in verbs.items()
    )
    info = description["info"]
    return HTMLResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(info['title'])}</title>"
        f"<style>{STYLE}</style><h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f"<p>{escape(info.get('description', ''))}</p>"
        f"<p>For machines: <a href=/openapi.json>/openapi.json</a></p>{operations}</html>",
        headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
    )


def _operation(path: str, verb: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    parameters = "".join(
        f"<tr><td><code>{escape(each['name'])}</code><td>{each['in']}"
        f"<td>{escape(each.get('description', ''))}</tr>"
        for each in operation.get("parameters", [])
    )
    answers = ", ".join(
        f"{code} {escape(each['description'])}" for code, each in operation["responses"].items()
    )
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    ok: dict[str, Any] = next((each for code, each in operation["responses"].items() if code[0] == "2"), {})
    answer = ok.get("content", {}).get("application/json", {})
    return (
        f"<h2><b>{verb.upper()}</b> {escape(path)}</h2><p>{escape(operation.get('description', ''))}</p>"
        + (f"<table>{parameters}</table>" if parameters else "")
        + _example("Send", body, schemas)
        + _example("Receive", answer, schemas)
        + f"<p>Answers: {answers}</p>"
    )


def _example(title: str, content: dict[str, Any], schemas: dict[str, Any]) -> str:
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    examples = schemas.get(name, {}).get("examples")
    if not examples:
        return ""
    text = json.dumps(examples[0], ensure_ascii=False, indent=2)
    return f"<details><summary>{title}: {escape(name)}</summary><pre>{escape(text)}</pre></details>"
