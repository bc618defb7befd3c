"""How the report looks: one style sheet, light and dark, for wide and narrow screens and for paper."""

from __future__ import annotations

__all__ = ["STYLE"]

_LIGHT = """
--paper:#fcfbf8;--card:#f4f2ec;--ink:#1e2022;--soft:#5f6469;--faint:#70757a;--rule:#dcd9d0;--hair:#e9e6de;
--accent:#0f6b6b;--accent-soft:#d7e8e5;--dot:#7f9aa3;--low:#b3c0c4;--human:#b4541a;--random:#7a5ea8;--boosting:#8a7a12;
--bad:#b3363e;--forbid:rgba(179,54,62,.055);--nest:#f4f2ec;--nest1:#fcfbf8;--leaf:#fff;
"""
_DARK = """
--paper:#15181a;--card:#1c2023;--ink:#e6e4df;--soft:#a3a8ac;--faint:#8a9095;--rule:#343a3e;--hair:#262b2f;
--accent:#5cc1b4;--accent-soft:#1f3b3a;--dot:#7893a0;--low:#46545b;--human:#e59455;--random:#b39be0;--boosting:#cdbb4a;
--bad:#ef7f83;--forbid:rgba(239,127,131,.07);--nest:#1c2023;--nest1:#15181a;--leaf:#22272a;
"""
_SANS = 'system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"Liberation Sans",sans-serif'
_SERIF = '"Iowan Old Style","Palatino Linotype",Palatino,"Book Antiqua",Georgia,"Liberation Serif",serif'
_MONO = 'ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace'

STYLE = f"""
:root{{color-scheme:light dark;{_LIGHT}}}
@media(prefers-color-scheme:dark){{:root{{{_DARK}}}}}
*{{box-sizing:border-box}}
html{{-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-behavior:smooth}}
body{{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 {_SANS};overflow-wrap:break-word}}
main{{max-width:920px;margin:0 auto;padding:56px 28px 96px}}
a{{color:var(--accent);text-decoration:none}}a:hover{{text-decoration:underline}}
.over{{font-size:13px;letter-spacing:.06em;color:var(--soft);margin:0 0 10px;max-width:none}}
h1{{font:600 34px/1.2 {_SERIF};letter-spacing:-.01em;margin:0 0 20px}}
.verdict{{font:21px/1.5 {_SERIF};margin:0 0 32px;max-width:41em}}
.notice{{border-left:3px solid var(--human);padding:2px 0 2px 14px;margin:0 0 22px;color:var(--soft)}}
nav{{display:flex;flex-wrap:wrap;gap:4px 20px;border-top:1px solid var(--rule);border-bottom:1px solid var(--rule);
padding:11px 0;margin:36px 0 0;font-size:14px}}
section{{margin:64px 0 0}}
h2{{font:600 25px/1.25 {_SERIF};letter-spacing:-.005em;margin:0 0 14px}}
h3{{font:600 15px/1.4 {_SANS};margin:34px 0 8px}}
p{{margin:0 0 16px;max-width:42em}}.soft{{color:var(--soft)}}
figure{{margin:26px 0 0;min-width:0}}figure h3{{margin:0 0 6px}}
figcaption{{font-size:14px;line-height:1.5;color:var(--soft);margin-top:10px;max-width:46em}}
.two{{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,360px),1fr));gap:12px 40px}}
svg{{display:block;width:100%;height:auto;overflow:visible}}
.narrow{{display:none}}.narrow svg{{max-width:none!important}}
.legend{{display:flex;flex-wrap:wrap;gap:2px 18px;list-style:none;padding:0;
margin:0 0 12px;font-size:13.5px;color:var(--soft)}}
.key{{display:inline-block;width:9px;height:9px;border-radius:50%;margin-right:7px;background:var(--c)}}
.key.human{{border-radius:0;transform:rotate(45deg);width:8px;height:8px}}.key.random{{border-radius:0}}
.key.boosting{{border-radius:0;clip-path:polygon(50% 0,100% 100%,0 100%)}}
.key.winner,.key.equal{{border-radius:0;width:13px;height:13px;margin-bottom:-2px;
clip-path:polygon(50% 0,63% 35%,100% 36%,70% 58%,81% 95%,50% 73%,19% 95%,30% 58%,0 36%,37% 35%)}}
.key.equal{{opacity:.45}}.key.line{{height:2.5px;width:18px;border-radius:1px;vertical-align:middle}}
.key.outside{{background:none;border:1.3px solid var(--c)}}
.trial,.complete,.found{{--c:var(--dot)}}.low{{--c:var(--low)}}.outside,.failed{{--c:var(--bad)}}.winner,.won,.final,.strong,.best,
.front,.finalist,.equal{{--c:var(--accent)}}.human{{--c:var(--human)}}.random{{--c:var(--random)}}.boosting{{--c:var(--boosting)}}
.stopped{{--c:var(--human)}}.cached,.infeasible,.running{{--c:var(--low)}}
svg .dot{{fill:var(--c);stroke:var(--paper);stroke-width:1}}
svg .dot.equal{{fill:var(--paper);stroke:var(--c);stroke-width:1.4}}
svg .dot.outside{{fill:none;stroke:var(--c);stroke-width:1.2;opacity:.75}}
svg .dot:hover{{stroke:var(--ink);stroke-width:1.6}}
svg .line{{fill:none;stroke:var(--c);stroke-linejoin:round;stroke-linecap:round}}
svg .front{{stroke-width:1.8;opacity:.8}}svg .found{{stroke-width:1.4;opacity:.55}}svg .strong{{stroke-width:2.2}}
svg .curve{{stroke-width:1.1;opacity:.5}}svg .curve:hover{{stroke-width:2.6;opacity:1}}
svg .curve.won{{stroke-width:2;opacity:1}}svg .curve.final{{stroke-width:2.6;opacity:1}}
svg .end{{stroke-width:1.6}}
svg .grid{{stroke:var(--hair);stroke-width:1}}svg .axis{{stroke:var(--rule);stroke-width:1}}
svg .limit{{stroke:var(--bad);stroke-width:1.3;stroke-dasharray:5 4}}svg .forbidden{{fill:var(--forbid)}}
svg .same{{stroke:var(--faint);stroke-width:1;stroke-dasharray:3 4}}
svg text{{font:12.5px {_SANS};fill:var(--ink);font-variant-numeric:tabular-nums}}
svg .tick{{fill:var(--faint);font-size:12px}}svg .axis-label{{fill:var(--soft)}}
svg .limit-label{{fill:var(--bad);font-size:12px}}
svg .name{{fill:var(--c);font-weight:600;paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}}
svg .mid{{text-anchor:middle}}svg text.end{{text-anchor:end;stroke-width:3px}}
svg .box{{stroke:var(--rule);stroke-width:1}}svg .nest0{{fill:var(--nest)}}svg .nest1{{fill:var(--nest1)}}
svg .leaf{{fill:var(--leaf)}}svg .box:hover{{stroke:var(--accent)}}
svg .box-name{{font-weight:500}}svg .box-note{{fill:var(--soft);font-size:11px}}
svg .flow{{fill:none;stroke:var(--faint);stroke-width:1.2}}
.tiles{{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,168px),1fr));gap:1px;margin:0;
border:1px solid var(--rule);border-radius:8px;overflow:hidden}}
.tiles div{{box-shadow:0 0 0 1px var(--rule);padding:14px 16px 13px}}.tiles dt{{font-size:13px;color:var(--soft)}}
.tiles dd{{margin:2px 0 0;font-size:23px;line-height:1.3;font-variant-numeric:tabular-nums;letter-spacing:-.01em}}
.tiles dd.note{{font-size:12.5px;line-height:1.4;color:var(--faint);letter-spacing:0}}
.scroll{{overflow-x:auto;margin:18px 0 22px}}
table{{border-collapse:collapse;width:100%;font-size:14.5px;font-variant-numeric:tabular-nums}}
caption{{text-align:left;font-size:14px;color:var(--soft);padding:0 0 8px}}
th{{font-weight:500;color:var(--soft);font-size:13px;vertical-align:bottom}}
th,td{{text-align:right;padding:7px 0 7px 18px;border-bottom:1px solid var(--hair);white-space:nowrap}}
thead th{{border-bottom-color:var(--rule)}}th:first-child,td:first-child{{padding-left:0}}
th{{white-space:normal}}.l{{text-align:left}}td.w{{white-space:normal;min-width:11em;max-width:26em}}
tr.strong td{{font-weight:600}}tr.strong td:first-child{{box-shadow:inset 3px 0 var(--accent);padding-left:12px}}
.bars{{display:grid;gap:8px;margin:18px 0 22px;font-size:14.5px;font-variant-numeric:tabular-nums}}
.bars>div{{display:grid;grid-template-columns:190px 1fr 148px;gap:4px 14px;align-items:center}}
.bar-value{{text-align:right;color:var(--soft)}}
.track{{position:relative;height:14px;background:var(--card);border-radius:3px;overflow:hidden}}
.track i{{position:absolute;left:0;top:0;bottom:0;border-radius:3px}}
.fill{{background:var(--accent);opacity:.85;min-width:1.5px}}
.plan{{background:var(--accent-soft)}}
.pairs{{margin:14px 0 22px;font-size:14.5px}}
.pairs div{{display:grid;grid-template-columns:minmax(110px,220px) 1fr;gap:4px 18px;padding:6px 0;
border-bottom:1px solid var(--hair)}}
.columns{{columns:2;column-gap:40px}}.columns div{{break-inside:avoid;grid-template-columns:minmax(90px,180px) 1fr}}
.pairs dt{{color:var(--soft)}}.pairs dd{{margin:0;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}}
pre{{background:var(--card);border-radius:8px;padding:16px 18px;overflow:auto;
font:13px/1.55 {_MONO};margin:14px 0 22px;tab-size:4}}
.source{{max-height:520px}}.com{{color:var(--faint)}}.str{{color:var(--human)}}.kw{{color:var(--accent)}}
details{{margin:14px 0}}summary{{cursor:pointer;color:var(--soft);font-size:14.5px}}
footer{{margin:72px 0 0;padding:16px 0 0;border-top:1px solid var(--rule);font-size:13.5px;color:var(--soft)}}
@media(max-width:680px){{
main{{padding:30px 18px 64px}}h1{{font-size:27px}}.verdict{{font-size:18.5px}}h2{{font-size:22px}}
section{{margin-top:50px}}
.wide{{display:none}}.narrow{{display:block}}.tiles{{grid-template-columns:1fr 1fr}}.tiles dd{{font-size:20px}}
.bars>div{{grid-template-columns:1fr auto}}.bars .track{{grid-column:1/-1;grid-row:2}}.bar-value{{min-width:0}}
.columns{{columns:1}}.pairs div{{grid-template-columns:1fr}}
.columns div{{grid-template-columns:1fr auto}}.pairs dd{{margin-bottom:2px}}
pre{{font-size:12px;padding:12px 14px}}
}}
@media print{{
:root{{{_LIGHT}--paper:#fff}}*{{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
body{{font-size:10.5pt}}main{{max-width:none;padding:0}}nav{{display:none}}section{{margin-top:28pt}}
figure,tr,.tiles,.bars>div{{break-inside:avoid}}h2,h3{{break-after:avoid}}.source{{max-height:none}}
pre{{white-space:pre-wrap;overflow:visible}}.scroll{{overflow:visible}}details::details-content{{content-visibility:visible;height:auto}}
}}
""".strip()
