"""The page of ``suites report``: texts escaped, style and pictures inside, nothing that is loaded."""

from __future__ import annotations

import base64
import unicodedata
from collections.abc import Sequence
from html import escape
from pathlib import Path

MOST = 12 * 2**20  # bytes of pictures in a page
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root{color-scheme:light dark;--text:#1b1f24;--page:#fff;--soft:#f3f5f7;--line:#d5dae0;--dim:#57606a;--accent:#0072b2;
--good:#00704f;--bad:#b03a00}
@media(prefers-color-scheme:dark){:root{--text:#e6e9ec;--page:#14181d;--soft:#1d232a;--line:#38414b;--dim:#9aa5b1;
--accent:#56b4e9;--good:#4cc79f;--bad:#ff9a5c}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1100px;padding:1rem;font:16px/1.5 system-ui,sans-serif;color:var(--text);
background:var(--page)}
h1{font-size:1.6rem;line-height:1.2;margin:.5rem 0}h2{font-size:1.25rem;margin:2.2rem 0 .6rem;padding-top:.6rem;
border-top:1px solid var(--line)}h3{font-size:1rem;margin:1.2rem 0 .4rem}
h1,h2,h3,p,li,figcaption{overflow-wrap:anywhere}td,th{overflow-wrap:break-word}p,li{max-width:80ch}
.dim,figcaption{color:var(--dim);font-size:.9rem}
nav a{display:inline-block;margin-right:1rem}a{color:var(--accent)}
.wide{overflow-x:auto;margin:.6rem 0}table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .7rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--line);min-width:3rem}
td{max-width:min(34rem,70vw);white-space:pre-line}.two{min-width:10rem}
th:first-child,td:first-child{position:sticky;left:0;background:var(--page)}
thead th,thead th:first-child{background:var(--soft);white-space:pre-line}
.holds,.better,.inside{color:var(--good);font-weight:600}.fails,.worse,.outside{color:var(--bad);font-weight:600}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr));gap:1rem;align-items:start}
figure{margin:0;padding:.7rem;border:1px solid var(--line);border-radius:8px;min-width:0}
svg{width:100%;height:auto;max-height:420px;display:block}svg text{fill:var(--text);font:12px system-ui,sans-serif}
.tick{font-size:11px}.axis{font-size:12px}
.mid{text-anchor:middle}.end{text-anchor:end}.grid{stroke:var(--line);
fill:none}
.heat rect{fill:var(--accent)}
.key{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1rem;padding:0;margin:.4rem 0 0;
font-size:.85rem}.key i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.4em}
img{max-width:100%;height:auto;background:#fff;border-radius:4px;display:block;margin:.4rem auto 0}
code{background:var(--soft);padding:.1em .3em;border-radius:3px;overflow-wrap:anywhere}
@media print{body{max-width:none}h2{break-after:avoid}figure{break-inside:avoid}}
"""
CLASSES = (
    *(("does not hold", "fails"), ("holds", "holds"), ("better", "better"), ("worse", "worse")),
    *(("inside", "inside"), ("outside", "outside")),
)


def text(value: object) -> str:
    """Any text, escaped; signs that turn the direction of writing, and control signs, are shown by number."""
    plain = "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else f"U+{ord(c):04X}" for c in str(value)
    )
    return escape(plain, quote=True)


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with its title above; wide ones scroll inside the page. A cell that is a verdict has its colour."""
    head = "".join(f'<th scope="col">{text(cell)}</th>' for cell in header)
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    caption = f"<h3>{text(title)}</h3>" if title else ""
    return f'{caption}<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(cell: str) -> str:
    lines = "two" if "\n" in cell else ""  # several lines need width, or they become many
    kind = next((name for start, name in CLASSES if cell.startswith(start)), lines)
    return f"<td{f' class={kind}' if kind else ''}>{text(cell)}</td>"


def listed(texts: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{text(one)}</li>" for one in texts) + "</ul>" if texts else ""


def section(name: str, title: str, *inside: str) -> str:
    """A part of the page with its heading; nothing where nothing is inside."""
    whole = "".join(inside)
    return f'<section id="{name}"><h2>{text(title)}</h2>{whole}</section>' if whole else ""


def charts(figures: Sequence[str]) -> str:
    drawn = "".join(figures)
    return f'<div class="charts">{drawn}</div>' if drawn else ""


def picture(path: Path, caption: str) -> str:
    """A PNG inside the page. Raises OSError."""
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure><figcaption>{text(caption)}</figcaption><img alt="{text(caption)}" '
        f'src="data:image/png;base64,{data}"></figure>'
    )


def page(title: str, lead: str, sections: Sequence[tuple[str, str]]) -> str:
    """The whole document; ``sections``: (name, HTML) of what is not empty."""
    links = "".join(f'<a href="#{name}">{text(name.replace("-", " "))}</a>' for name, inside in sections if inside)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{text(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{text(title)}</h1>{lead}<nav>{links}</nav>"
        f"<main>{''.join(inside for _, inside in sections)}</main></body></html>\n"
    )
